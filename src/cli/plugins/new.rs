//! `precondor plugins new`: a working plugin to start from, outside this repository.
use crate::Status;
use crate::files::{make_folder, print, write};
use crate::plugins::sdk;
use crate::session::Session;
use precondor_core::{Error, Result};
use std::path::PathBuf;

/// Files of a new plugin. `{name}` is the method's name, `{crate}` the library's, `{Type}` the type's,
/// `{patch}` where the SDK is taken from, `{version}` its version.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("tests/conformance.rs", include_str!("template/conformance.rs.in")),
    ("README.md", include_str!("template/README.md.in")),
    (".gitignore", "/target\n"),
    ("solve.toml", include_str!("template/solve.toml.in")),
];

/// Start a new plugin: a complete cargo project with a working method and its tests
#[derive(clap::Args)]
pub struct Args {
    /// The method's name: lower-case letters, digits and -, a letter first
    name: String,
    /// The folder to make (the name, here, unless given)
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Root of the SDK's sources: a copy of Precondor's repository, or share/precondor/sdk of an
    /// installation. Found by itself where this program was built or installed with it; else the SDK is that of the
    /// registry
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

pub fn run(args: &Args, plugin_path: &[PathBuf]) -> Result<Status> {
    check_name(&args.name)?;
    check_free(&args.name, &Session::open(plugin_path, None)?)?;
    let sources = match &args.sdk {
        Some(given) => Some(sdk::find(Some(given))?),
        None => sdk::find(None).ok(),
    };
    let patch = sources.map_or_else(String::new, |root| patch(&root.join("bindings/sdk")));
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::file(folder, "is there already and not empty"));
    }
    make_folder(&folder.join("src"))?;
    make_folder(&folder.join("tests"))?;
    let library = format!("precondor_plugin_{}", args.name.replace('-', "_"));
    for (file, template) in FILES {
        let text = template
            .replace("{name}", &args.name)
            .replace("{crate}", &library)
            .replace("{Type}", &type_name(&args.name))
            .replace("{patch}", &patch)
            .replace("{version}", env!("CARGO_PKG_VERSION"));
        write(&folder.join(file), text.as_bytes())?;
    }
    let shown = folder.display();
    print(&format!(
        "{shown} is a plugin with the method '{}'. Next:\n  cd {shown}\n  cargo test\n  \
         cargo build --release\n  precondor plugins check target/release/lib{library}.so\n  \
         precondor solve solve.toml --plugin-path target/release\n",
        args.name
    ))?;
    Ok(Status::Done)
}

/// A name that is a method's, a file's, a crate's and, in camel case, a type's.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = !name.ends_with('-') && !name.contains("--") && name.len() <= 40;
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain) && ends {
        return Ok(());
    }
    Err(Error::Parameter(format!(
        "'{name}' is no name for a method: lower-case letters, digits and single hyphens, a letter \
         first, at most 40 of them"
    )))
}

/// Names that mean something else: what reports call no preconditioner, parts of Precondor, a word of
/// Rust that the type's name would be.
const RESERVED: [&str; 6] = ["none", "precondor", "core", "host", "sdk", "self"];

/// A name that no method and no library has: two of a name would shadow each other.
fn check_free(name: &str, session: &Session) -> Result<()> {
    let taken = |why: String| Err(Error::Parameter(format!("{why}; take another name")));
    if RESERVED.contains(&name) {
        return taken(format!("'{name}' is reserved"));
    }
    let file = format!("libprecondor_plugin_{}.so", name.replace('-', "_"));
    for library in session.plugins().libraries() {
        let path = library.path.display();
        if library.methods.iter().any(|method| method == name) {
            return taken(format!("there is a method '{name}' already, in {path}"));
        }
        if library.path.file_name().is_some_and(|there| there == file.as_str()) {
            return taken(format!("there is a library of that name already, {path}"));
        }
    }
    Ok(())
}

/// `my-method` as `MyMethod`.
fn type_name(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    let camel: String = name.split('-').map(word).collect();
    // The names that the template uses itself.
    if matches!(camel.as_str(), "Params" | "Scaling" | "Generator" | "System" | "Result") {
        return camel + "Method";
    }
    camel
}

/// Has cargo take the SDK from its sources rather than from the registry.
fn patch(sdk: &std::path::Path) -> String {
    let path = toml_string(&sdk.display().to_string());
    format!(
        "\n# The SDK as this program was built with it; without these two lines, that of the registry.\n\
         [patch.crates-io]\nprecondor-sdk = {{ path = \"{path}\" }}\n"
    )
}

/// The inside of a TOML string.
fn toml_string(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_files_crates_and_types() {
        for good in ["a", "my-method", "ilu2", "x-1-y"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "My", "2nd", "a_b", "../x", "a b", "é", "a.b"] {
            let why = check_name(bad).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(why.contains("is no name for a method"), "{bad}: {why}");
        }
        assert_eq!(type_name("my-method2"), "MyMethod2");
        assert_eq!(type_name("params"), "ParamsMethod");
    }
}
