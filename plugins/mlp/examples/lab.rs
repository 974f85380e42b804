#[path = "../tests/meshes/mod.rs"]
mod meshes;
use meshes::*;
use precondor_plugin_mlp::{pgp::Variant, reference::*, train::*};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json;
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let variant = if args[1] == "spd" { Variant::Spd } else { Variant::Stencil };
    let file = &args[2];
    if let Some(steps) = args.get(3).and_then(|s| s.parse().ok()) {
        let mut params: TrainParams = serde_json::from_str(args.get(4).map_or("{}", |s| s)).unwrap();
        params.variant = variant;
        params.steps = steps;
        let t = Instant::now();
        let samples = Meshes { levels: vec![4, 5], shift: 0.3 };
        let mut trainer = Trainer::new(&params, &samples).unwrap();
        println!("{params:?} pool {:.1}s", t.elapsed().as_secs_f64());
        let t = Instant::now();
        let mut sum = 0.0;
        while !trainer.is_finished() {
            let p = trainer.advance();
            sum += p.loss;
            if p.step % (steps / 10) == 0 {
                println!("step {} loss {:.4e} t {:.1}", p.step, sum / (steps / 10) as f64, t.elapsed().as_secs_f64());
                sum = 0.0;
            }
        }
        std::fs::write(file, trainer.model().unwrap()).unwrap();
    }
    let weights = Weights::read(&std::fs::read(file).unwrap()).unwrap();
    for (level, count) in [(2, 20), (3, 20), (4, 20), (5, 20), (6, 6), (7, 3), (8, 2)] {
        let (mut e, mut r) = (vec![], vec![]);
        for index in 0..count {
            let a = poisson(level, 0.25, 900, index);
            let m = ReferenceMap::new(&weights, &DistCsr::solo(a.clone()).unwrap(), None).unwrap();
            let (x, y) = iterations(&a, &m);
            e.push(x);
            r.push(y);
        }
        let mean = |v: &[usize]| v.iter().sum::<usize>() as f64 / v.len() as f64;
        println!("L{level} n={count}: abs {:.2}({}) rel {:.2}({})", mean(&e), e.iter().max().unwrap(), mean(&r), r.iter().max().unwrap());
    }
}
