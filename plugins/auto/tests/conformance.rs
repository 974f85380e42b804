//! What the interface asks of every method, whatever it chooses.
use precondor_plugin_auto::auto::Auto;
use precondor_plugin_ilu::Ic;
use precondor_plugin_jacobi::Jacobi;
use precondor_plugin_mlp::reference::MlpReference;
use precondor_plugin_reference::Reference;
use precondor_plugin_spai::Fsai;

precondor_sdk::conformance! {
    all: Kit::<Auto>::new(json!({}))
        .beside::<Jacobi>()
        .beside::<Fsai>()
        .beside::<Ic>()
        .beside::<Reference>()
        .beside::<MlpReference>()
        .single_precision()
        .may_keep_more();
    explicit: Kit::<Auto>::new(json!({"positive_definite": true}))
        .beside::<Fsai>()
        .may_keep_more();
    incomplete: Kit::<Auto>::new(json!({"exclude": ["fsai"]}))
        .beside::<Ic>()
        .beside::<Fsai>()
        .may_keep_more();
}
