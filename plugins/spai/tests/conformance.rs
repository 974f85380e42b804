//! What the interface asks of every method.
use precondor_plugin_spai::{Fsai, Spai};

precondor_sdk::conformance! {
    spai: Kit::<Spai>::new(json!({}));
    spai_of_power_2: Kit::<Spai>::new(json!({"power": 2}));
    fsai: Kit::<Fsai>::new(json!({}));
    fsai_adaptive: Kit::<Fsai>::new(json!({"power": 0, "steps": 4, "growth": 2, "filter": 0.02}));
}
