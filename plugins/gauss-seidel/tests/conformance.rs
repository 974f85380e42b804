//! What the interface asks of every method.
use precondor_plugin_gauss_seidel::GaussSeidel;

precondor_sdk::conformance! {
    forward: Kit::<GaussSeidel>::new(json!({"sweep": "forward"}));
    backward: Kit::<GaussSeidel>::new(json!({"sweep": "backward", "relaxation": 1.2}));
    symmetric: Kit::<GaussSeidel>::new(json!({"sweep": "symmetric"}));
}
