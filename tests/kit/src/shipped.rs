//! Shipped models, and the configurations beside them that made them.
use precondor_core::config;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, to_value};
use std::path::{Path, PathBuf};

/// What a configuration of `train` says.
#[derive(Debug, PartialEq)]
pub struct Training {
    /// The method that is trained.
    pub method: String,
    /// Section `[train]`, all defaults spelt out.
    pub params: Value,
    /// Section `[data]`, or all of them.
    pub data: Value,
}

impl Training {
    /// Out of a file whose section `[train]` is a `T`.
    pub fn read<T: Serialize + DeserializeOwned + JsonSchema + 'static>(file: &Path) -> Self {
        let root = config::read(file).unwrap();
        let params: T = root.get("train").unwrap().read().unwrap();
        let method = root.get("model").unwrap().get("method").unwrap().text().unwrap().to_owned();
        let data = root.get("data").unwrap().json();
        Training { method, params: to_value(params).unwrap(), data }
    }
}

/// Shows `look` the name of every model in `folder`, the configuration beside it and its bytes; each has one.
pub fn models(folder: &Path, mut look: impl FnMut(&str, &Path, &[u8])) {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files.collect();
    let ends = |file: &&PathBuf, with: &str| file.extension().unwrap() == with;
    let mut models = 0;
    for file in files.iter().filter(|file| ends(file, "toml")) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let bytes = std::fs::read(file.with_extension("safetensors")).unwrap();
        look(name, file, &bytes);
        models += 1;
    }
    assert!(models > 0, "{}", folder.display());
    let shipped = files.iter().filter(|file| ends(file, "safetensors"));
    assert_eq!(models, shipped.count(), "every model has its configuration");
}
