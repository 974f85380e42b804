//! `[problem] matrices`: many systems in files.
//!
//! ```toml
//! [problem]
//! matrices = "folder/*.mtx"          # a pattern: * ? [abc] of names, ** of folders
//! matrices = ["a/*.mtx", "b.petsc", { matrix = "c.mtx", rhs = "c_b.mtx", label = "c" }]
//! rhs = "folder/b*.mtx"              # "ones", "random", or one file for each matrix
//! sequence = true                    # not a suite, but systems that follow each other
//! symmetric = "upper"                # and what else holds for all of them
//! ```
//!
//! Or `[[problem.matrices]]`, each a table with the keys of a system in files. The program puts the files that patterns
//! find in their place (`cli/patterns.rs`); here, a text is the name of a file.
use super::keys;
use precondor_core::Result;
use precondor_core::config::{self, Content, Node};

/// Keys that belong to one matrix.
const OF_ONE: [&str; 6] =
    ["x0", "preconditioner_matrix", "coordinates", "near_null_space", "coefficient", "matrix"];

/// A section for each of the systems that `section` asks for: its own keys on top of those for all.
///
/// # Errors
/// [`Error::Parameter`](precondor_core::Error::Parameter) for keys that belong to one matrix, and ones that there are not.
pub fn systems(section: &Node) -> Result<Vec<Node>> {
    let mut shared = section.clone();
    let Some(list) = shared.take("matrices") else { return Ok(Vec::new()) };
    let of_one = OF_ONE.iter().find_map(|key| Some((key, shared.get(key)?)));
    if let Some((key, node)) = of_one {
        let why = format!(
            "'{key}': goes with a single matrix only: `[[problem.matrices]]` with 'matrix' and '{key}'"
        );
        return Err(node.key_error(why));
    }
    if let Some(node) =
        shared.get("rhs").filter(|node| !matches!(node.text(), Ok("ones" | "random")))
    {
        return Err(node.wrong(
            "is not \"ones\", \"random\" or a pattern; a file goes with a single matrix only",
        ));
    }
    for key in ["null_space", "left_null_space"] {
        if let Some(node) =
            shared.get(key).filter(|node| !matches!(node.text(), Ok("constant" | "none")))
        {
            return Err(node
                .wrong("is not \"constant\" or \"none\"; a file goes with a single matrix only"));
        }
    }
    shared.only(&keys::of::<keys::Suite>())?;
    let one = |item: &Node| match item.content() {
        Content::Table(_) => {
            item.needed("matrix", None, "'matrix' is missing, the file of this system")?;
            Ok(config::over(item, &shared))
        }
        _ => item.text().map(|_| config::over(&item.under("matrix"), &shared)),
    };
    list.items().iter().map(one).collect()
}
