//! What the interface asks of every method.
use precondor_plugin_ilu::{Ic, Ilu};

precondor_sdk::conformance! {
    ilu: Kit::<Ilu>::new(json!({}));
    ic: Kit::<Ic>::new(json!({}));
}
