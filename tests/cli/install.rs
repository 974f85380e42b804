//! `install`: what it puts where, and that it works by itself.
use crate::support::{Folder, isolated, program, run};

#[test]
fn an_installation_works_from_anywhere_with_its_own_plugins() {
    let folder = Folder::new("install");
    let prefix = folder.path().join("prefix");
    // What an earlier installation put there and this one does not ship is removed; nothing else is.
    let lib = prefix.join("lib/precondor");
    std::fs::create_dir_all(&lib).unwrap();
    std::fs::write(lib.join("installed"), "libprecondor_plugin_gone.so\n").unwrap();
    for name in ["libprecondor_plugin_gone.so", "libprecondor_plugin_somebodys.txt"] {
        std::fs::write(lib.join(name), "old").unwrap();
    }
    for _ in 0..2 {
        let ran = run(program().arg("install").arg("--prefix").arg(&prefix));
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    assert!(!lib.join("libprecondor_plugin_gone.so").exists());
    assert!(lib.join("libprecondor_plugin_somebodys.txt").exists());
    let page = std::fs::read_to_string(prefix.join("share/man/man1/precondor-solve.1")).unwrap();
    assert!(page.contains("save\\-preconditioner") && page.contains("precondor\\-solve"), "{page}");
    let bash = prefix.join("share/bash-completion/completions/precondor");
    let bash = std::fs::read_to_string(bash).unwrap();
    assert!(bash.contains("--load-preconditioner"), "{bash}");
    for file in [
        "bin/precondor",
        "lib/precondor/libprecondor_plugin_jacobi.so",
        "lib/precondor/libprecondor_plugin_dense.so",
        "lib/precondor/libprecondor_plugin_mlp.so",
        "include/precondor.h",
        "share/precondor/examples/poisson.toml",
        "share/precondor/docs/config.schema.json",
        "share/man/man1/precondor.1",
        "share/man/man1/precondor-plugins-describe.1",
        "share/bash-completion/completions/precondor",
        "share/zsh/site-functions/_precondor",
        "share/fish/vendor_completions.d/precondor.fish",
        "share/precondor/sdk/Cargo.toml",
        "share/precondor/sdk/bindings/sdk/src/lib.rs",
        "share/precondor/sdk/core/src/lib.rs",
        "share/precondor/sdk/core/neural/src/lib.rs",
    ] {
        assert!(prefix.join(file).is_file(), "{file}");
    }
    let petsc = prefix.join("lib/precondor/libprecondor_petsc.so");
    assert_eq!(petsc.is_file(), cfg!(feature = "petsc"), "{}", petsc.display());
    let here = folder.path().join("elsewhere");
    std::fs::create_dir(&here).unwrap();
    let installed = || {
        let mut command = isolated(&prefix.join("bin/precondor"));
        command.current_dir(&here);
        command
    };
    let list = run(installed().args(["plugins", "list", "--json"])).json();
    let methods = list["methods"].as_array().unwrap();
    assert!(methods.len() >= 10, "{methods:?}");
    let lib = prefix.join("lib/precondor").canonicalize().unwrap();
    for method in methods {
        assert!(method["library"].as_str().unwrap().starts_with(lib.to_str().unwrap()), "{method}");
    }
    let example = prefix.join("share/precondor/examples/solve.toml");
    let ran = run(installed().arg("solve").arg(example).arg("--json"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.json()["preconditioner"], "ic");
    // A new plugin finds all it is built from in the copied SDK.
    let ran = run(installed()
        .args(["plugins", "new", "mine", "--sdk"])
        .arg(prefix.join("share/precondor/sdk")));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
    std::fs::copy(lock, here.join("mine/Cargo.lock")).unwrap();
    let output = std::process::Command::new(env!("CARGO"))
        // What other systems need has not been fetched.
        .args(["metadata", "--offline", "--format-version", "1", "--filter-platform", &host()])
        .current_dir(here.join("mine"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What cargo calls this system.
fn host() -> String {
    let told = std::process::Command::new("rustc").arg("-vV").output().expect("a compiler");
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}
