//! What the interface asks of every method.
use precondor_plugin_gauss_seidel::GaussSeidel;
use precondor_plugin_ilu::{Ic, Ilu};
use precondor_plugin_schwarz::Schwarz;
use precondor_plugin_spai::Spai;

precondor_sdk::conformance! {
    ilu: Kit::<Schwarz>::new(json!({})).beside::<Ilu>();
    ic: Kit::<Schwarz>::new(json!({"method": "ic", "overlap": 2})).beside::<Ic>();
    plain: Kit::<Schwarz>::new(json!({"method": "ic", "variant": "additive"})).beside::<Ic>();
    sweeps: Kit::<Schwarz>::new(json!({"method": "gauss-seidel", "overlap": 0}))
        .beside::<GaussSeidel>();
    inverse: Kit::<Schwarz>::new(json!({"method": "spai", "variant": "additive", "overlap": 9}))
        .beside::<Spai>()
        // Blocks that are the whole matrix do not depend on an order.
        .may_keep_more();
}
