//! The parsers, each as a function that takes an input or refuses it.
use precondor_core::comm::{Comm, threads};
use precondor_core::config::{self, Node, SolverConfig};
use precondor_core::matrix::Space;
use precondor_core::matrix::io::petsc_binary::PetscFile;
use precondor_core::matrix::io::{boeing, hypre_ij, matrix_market, numpy, scipy};
use precondor_core::matrix::{Csr, DistCsr};
use precondor_core::persist::{self, Opened};
use precondor_core::problem::{Poisson, Problem};
use precondor_core::registry::DynGenerator;
use precondor_core::schema;
use precondor_core::system::System;
use precondor_core::{Error, Result};
use precondor_host::{Plugins, Search};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A parser and its name, which its corpus has too.
pub struct Parser {
    pub name: &'static str,
    /// Whether an input is taken.
    pub read: fn(&World, &[u8]) -> Result<()>,
}

pub const PARSERS: &[Parser] = &[
    Parser { name: "config", read: |_, input| configuration(input) },
    Parser { name: "options", read: |_, input| options(input) },
    Parser { name: "problem", read: |_, input| problem(input) },
    Parser { name: "schema", read: |_, input| of_schema(input) },
    Parser { name: "matrix-market", read: |world, input| market(world, input) },
    Parser { name: "gzip", read: |world, input| market(world, input) },
    Parser { name: "petsc", read: |world, input| petsc(world, input) },
    Parser { name: "npz", read: |world, input| npz(world, input) },
    Parser { name: "npy", read: |world, input| npy(world, input) },
    Parser { name: "boeing", read: |world, input| of_boeing(world, input) },
    Parser { name: "hypre", read: |world, input| hypre(world, input) },
    Parser { name: "model", read: |world, input| model(world, input) },
    Parser { name: "model-json", read: |world, input| model_json(world, input) },
    Parser { name: "saved", read: |world, input| saved(world, input) },
];

/// A folder for inputs that are read from files, and a system for what is set up for one.
pub struct World {
    folder: PathBuf,
    system: OnceLock<System>,
}

impl World {
    pub fn new(name: &str) -> Self {
        // In memory, where there is such a folder: every input is a file.
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let folder = folder.join(format!("precondor-fuzz-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        World { folder, system: OnceLock::new() }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// Poisson's equation on nine unknowns, with the services of the plugins.
    fn system(&self) -> &System {
        self.system.get_or_init(|| {
            let poisson = Poisson { level: Some(2), ..Poisson::default() };
            let problem = Problem::Poisson(poisson);
            let (system, _) = problem.generate_nth(Comm::solo(), 0).expect("a system");
            system.with_host(plugins().host())
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Saved preconditioners of this version, whose files others do not read.
pub fn saved_now(world: &World) -> Vec<Vec<u8>> {
    let of = |name: &str| {
        let (generator, params) = (method(name), json!({}));
        let m = generator.generate(&params, world.system()).expect("set up");
        let bytes = persist::gather(generator.as_ref(), &params, m.as_ref(), world.system());
        bytes.expect("saved").expect("on the one rank")
    };
    ["spai", "fsai", "inverse"].map(of).to_vec()
}

/// The libraries that were built with this test.
fn plugins() -> &'static Plugins {
    static PLUGINS: OnceLock<Plugins> = OnceLock::new();
    let load = || Plugins::load(&Search { extra: vec![], base: "/".into() }).expect("plugins");
    PLUGINS.get_or_init(load)
}

fn method(name: &str) -> &'static Arc<dyn DynGenerator> {
    plugins().get(name).expect("a method")
}

fn refused<T>(why: impl std::fmt::Display) -> Result<T> {
    Err(Error::Data(why.to_string()))
}

fn text(input: &[u8]) -> Result<&str> {
    std::str::from_utf8(input).or_else(refused)
}

/// A whole configuration: its tree, `[solver]`, methods with their parameters.
fn configuration(input: &[u8]) -> Result<()> {
    let root = config::parse("input", Path::new(""), text(input)?)?;
    if let Some(solver) = root.get("solver") {
        SolverConfig::from_node(solver)?;
    }
    let check = |node: &Node| {
        config::method(node, |name, params| {
            plugins().get(name)?;
            precondor_host::fault(plugins().registry(), name, params)
        })
    };
    root.get("preconditioner").map(check).transpose()?;
    for run in root.get("run").map_or(&[][..], Node::items) {
        run.get("preconditioner").map(check).transpose()?;
    }
    if let Some(section) = root.get("problem") {
        problem_of(&section.json())?;
    }
    Ok(())
}

/// Options of the command line, a line each, over a configuration; and tables of options for PETSc.
fn options(input: &[u8]) -> Result<()> {
    let base = "[solver]\nmethod = 'cg'\n[preconditioner]\nname = 'jacobi'\n[[run]]\n";
    let mut root = config::parse("base", Path::new(""), base)?;
    for flag in text(input)?.lines() {
        config::set(&mut root, flag)?;
    }
    root.get("petsc").map_or(Ok(()), config::check_options)?;
    root.get("solver").map_or(Ok(()), |solver| SolverConfig::from_node(solver).map(|_| ()))?;
    let check = |node: &Node| {
        config::method(node, |name, params| {
            precondor_host::fault(plugins().registry(), name, params)
        })
    };
    root.get("preconditioner").map_or(Ok(()), |node| check(node).map(|_| ()))
}

/// A model problem with its coefficient, field and mesh; one that is small is made, too.
fn problem(input: &[u8]) -> Result<()> {
    problem_of(&serde_json::from_slice(input).or_else(refused)?)
}

fn problem_of(json: &Value) -> Result<()> {
    let kind = json["kind"].as_str().unwrap_or_default();
    let schema = Problem::schema(kind)?;
    let mut parameters = json.clone();
    if let Some(fields) = parameters.as_object_mut() {
        fields.remove("kind");
    }
    schema::check(&schema, &parameters)?;
    let problem = Problem::from_json(json)?;
    let small = |key: &str, most: u64| json[key].as_u64().map(|value| value <= most);
    let sizes = [small("level", 3), small("nodes", 9)];
    if sizes.contains(&Some(true)) && !sizes.contains(&Some(false)) {
        problem.generate_nth(Comm::solo(), 1)?;
    }
    Ok(())
}

/// A schema and a value to check against it.
fn of_schema(input: &[u8]) -> Result<()> {
    let both: Value = serde_json::from_slice(input).or_else(refused)?;
    let (schema, value) = (&both["schema"], &both["value"]);
    schema::resolve(schema, schema);
    schema::lists_methods(schema, schema);
    schema::check(schema, value)
}

/// A matrix or a vector, of a file and of a stream, alone and on two ranks.
fn market(world: &World, input: &[u8]) -> Result<()> {
    let path = world.file("A.mtx", input);
    let _ = matrix_market::read_vector(&path);
    let _ = matrix_market::read_from(input, &path);
    let on_ranks = |backend| {
        matrix_market::read_on_ranks(&path, &Comm::new(backend), &mut Vec::new()).map(|_| ())
    };
    let one = matrix_market::read(&path);
    let two = threads::run(2, on_ranks);
    // What one rank takes two take, where it is square.
    let square = one.as_ref().is_ok_and(|a| a.n_rows() == a.n_cols());
    assert!(!square || two.iter().all(Result::is_ok), "{two:?}");
    one.map(|_| ())
}

fn petsc(world: &World, input: &[u8]) -> Result<()> {
    let path = world.file("A.petsc", input);
    let mut file = PetscFile::open(&path)?;
    let (vector, matrix) = (file.vector(), file.matrix());
    let on_ranks = |backend| {
        let mut file = PetscFile::open(&path)?;
        file.distributed_matrix(&Comm::new(backend)).map(|_| ())
    };
    let two = threads::run(2, on_ranks);
    let square = matrix.as_ref().is_ok_and(|a| a.n_rows() == a.n_cols());
    assert!(!square || two.iter().all(Result::is_ok), "{two:?}");
    vector.map(|_| ()).or(matrix.map(|_| ()))
}

/// A matrix alone and on two ranks: what one takes two take, where it is square.
fn both(one: Result<Csr>, on_ranks: impl Fn(&Comm) -> Result<DistCsr> + Sync) -> Result<()> {
    let two = threads::run(2, |backend| on_ranks(&Comm::new(backend)).map(|_| ()));
    let square = one.as_ref().is_ok_and(|a| a.n_rows() == a.n_cols());
    assert!(!square || two.iter().all(Result::is_ok), "{two:?}");
    one.map(|_| ())
}

/// An archive of SciPy.
fn npz(world: &World, input: &[u8]) -> Result<()> {
    let path = world.file("A.npz", input);
    let _ = scipy::extents(&path);
    let one = scipy::read_noting(&path, &mut Vec::new());
    both(one, |comm| scipy::read_on_ranks(&path, comm, &mut Vec::new()))
}

/// Columns, and a dense matrix.
fn npy(world: &World, input: &[u8]) -> Result<()> {
    let path = world.file("x.npy", input);
    let one = numpy::read_matrix(&path, &mut Vec::new());
    let _ = both(one, |comm| numpy::read_on_ranks(&path, comm, &mut Vec::new()));
    numpy::read_columns(&path).map(|_| ())
}

/// A matrix of Harwell and Boeing with its right-hand sides.
fn of_boeing(world: &World, input: &[u8]) -> Result<()> {
    let path = world.file("A.rb", input);
    let _ = boeing::right_hand_sides(&path);
    let one = boeing::read_noting(&path, &mut Vec::new());
    both(one, |comm| boeing::read_on_ranks(&path, comm, &mut Vec::new()))
}

/// Parts, between lines of `=====`, on one rank to three.
fn hypre(world: &World, input: &[u8]) -> Result<()> {
    let name = world.folder.join("A");
    for entry in std::fs::read_dir(&world.folder).expect("a folder") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("removed");
    }
    let (mut start, mut parts) = (0, Vec::new());
    while let Some(at) = input[start..].windows(6).position(|window| window == b"=====\n") {
        parts.push(&input[start..start + at]);
        start += at + 6;
    }
    parts.push(&input[start..]);
    for (k, part) in parts.iter().enumerate() {
        world.file(&format!("A.{k:05}"), part);
    }
    let read = |backend| {
        let comm = Comm::new(backend);
        let vector = hypre_ij::read_vector(&name, &Space::even(comm.clone(), 4)).is_ok();
        hypre_ij::read(&name, &comm).map(|_| ()).or(if vector {
            Ok(())
        } else {
            refused("neither")
        })
    };
    let all: Vec<bool> =
        (1..4).flat_map(|ranks| threads::run(ranks, read)).map(|read| read.is_ok()).collect();
    assert!(all.iter().all(|ok| *ok == all[0]), "{all:?}");
    if all[0] { Ok(()) } else { refused("refused") }
}

fn with_model(world: &World, name: &str, input: &[u8]) -> Result<()> {
    let path = world.file("model", input).display().to_string();
    method(name).generate(&json!({ "model": path }), world.system()).map(|_| ())
}

/// A model of a network, for any of the methods that have one.
fn model(world: &World, input: &[u8]) -> Result<()> {
    let _ = with_model(world, "mlp-fsai", input);
    let _ = with_model(world, "mlp-dense", input);
    with_model(world, "mlp-reference", input)
}

/// The model of `auto`, which is JSON.
fn model_json(world: &World, input: &[u8]) -> Result<()> {
    with_model(world, "auto", input)
}

fn saved(world: &World, input: &[u8]) -> Result<()> {
    let system = world.system();
    let opened = Opened::of(&Comm::solo(), Path::new("input"), || Ok(input.to_vec()))?;
    let header = opened.header();
    let generator = plugins().get(&header.method)?;
    let m = opened.load(generator.as_ref(), &header.parameters, system)?.into_m();
    let mut z = vec![0.0; system.a().n_own()];
    m.apply(&vec![1.0; z.len()], &mut z)
}
