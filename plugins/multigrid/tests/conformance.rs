//! What the interface asks of every method.
use precondor_plugin_multigrid::Multigrid;

precondor_sdk::conformance! {
    gauss_seidel: Kit::<Multigrid>::new(json!({})).level(4);
    chebyshev: Kit::<Multigrid>::new(json!({"smoother": "chebyshev", "levels": 2})).level(4);
    two_steps: Kit::<Multigrid>::new(json!({"before": 2, "after": 1})).level(4);
    direct: Kit::<Multigrid>::new(json!({"levels": 1}));
}
