//! What the interface asks of every method.
use precondor_plugin_amg::Amg;

precondor_sdk::conformance! {
    aggregation: Kit::<Amg>::new(json!({"coarsest": 20})).level(4).single_precision();
    double: Kit::<Amg>::new(json!({"coarsest": 20, "precision": "double"})).level(4);
    classical: Kit::<Amg>::new(json!({"coarsest": 20, "recipe": "classical", "precision": "double"})).level(4);
    chebyshev: Kit::<Amg>::new(json!({"coarsest": 20, "smoother": "chebyshev"})).level(4);
    l1_jacobi: Kit::<Amg>::new(json!({"coarsest": 20, "smoother": "l1-jacobi"})).level(4);
    spai_0: Kit::<Amg>::new(json!({"coarsest": 20, "smoother": "spai-0"})).level(4);
    two_steps: Kit::<Amg>::new(json!({"coarsest": 20, "before": 2, "after": 1, "precision": "double"})).level(4);
    reordered: Kit::<Amg>::new(json!({"coarsest": 20, "ordering": "breadth-first", "precision": "double"})).level(4);
    parallel: Kit::<Amg>::new(json!({"recipe": "parallel", "precision": "double"})).level(4);
    spread: Kit::<Amg>::new(json!({"recipe": "parallel", "precision": "double", "together": 60, "coarsest": 20})).level(4);
    spread_l1: Kit::<Amg>::new(json!({
        "recipe": "parallel", "smoother": "l1-jacobi", "precision": "double", "together": 30, "coarsest": 20
    }))
    .level(4);
    direct: Kit::<Amg>::new(json!({"levels": 1}));
    two_levels: Kit::<Amg>::new(json!({"levels": 2, "precision": "double"})).level(4);
}
