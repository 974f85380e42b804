//! `train` on several ranks: gradients of all of them in every step.
use crate::precondor;
use crate::support::Folder;

const SMALL: &str = "
[model]
method = 'mlp-reference'
output = 'model.safetensors'
[train]
steps = 40
hidden = [4]
pool = 20
vectors = 1
[data]
kind = 'poisson'
levels = [3]
";

#[test]
fn ranks_train_together_what_one_rank_trains_with_the_whole_batch() {
    let folder = Folder::new("mpi-train");
    let config = folder.file("train.toml", SMALL).display().to_string();
    let model = folder.path().join("model.safetensors");
    // The losses that the model's metadata tells, and its bytes.
    let train = |ranks: usize, batch: usize| {
        let job = precondor(ranks, &["train", &config, "--set", &format!("train.batch={batch}")]);
        assert_eq!(job.status, Some(0), "{job:?}");
        assert_eq!(job.out.matches("40 steps, last loss").count(), 1, "printed once: {job:?}");
        let bytes = std::fs::read(&model).expect("a model");
        std::fs::remove_file(&model).expect("removed");
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
        let all = header.metadata().clone().expect("metadata");
        let find = |name: &str| {
            let of = |text: &String| serde_json::from_str::<serde_json::Value>(text).ok();
            let number = |value: serde_json::Value| value["metrics"][name].as_f64();
            all.values().filter_map(of).find_map(number).expect("a metric")
        };
        assert_eq!(find("ranks"), ranks as f64);
        ([find("loss"), find("validation_loss")], bytes)
    };
    let (one, _) = train(1, 4);
    for ranks in [2, 4] {
        let (many, bytes) = train(ranks, 4 / ranks);
        let close = |(x, y): (&f64, &f64)| (x - y).abs() < 1e-5 * x;
        assert!(one.iter().zip(&many).all(close), "{one:?} on one rank, {many:?} on {ranks}");
        assert!(train(ranks, 4 / ranks).1 == bytes, "another model on as many ranks");
    }
}
