//! What all commands start from: ranks, methods, host services, a configuration.
use crate::experiment::{Case, Task};
use crate::inputs::{self, Inputs};
use crate::models;
use crate::same::{self, Fact};
use crate::traffic::Meter;
use crate::world::World;
use precondor::Methods;
use precondor::report::{Input, Provenance};
use precondor_core::comm::Communicator;
use precondor_core::comm::count::Counter;
use precondor_core::config::{self, Node};
use precondor_core::matrix::DistCsr;
use precondor_core::registry::DynGenerator;
use precondor_core::{Error, Result};
use precondor_host::{Plugins, Search};
use serde_json::Value;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The ranks, the methods that are there, and the services lent to them.
pub struct Session {
    methods: Methods,
    counter: Counter,
    ranks_here: usize,
    /// The folder that files which parameters name are looked for in.
    base: PathBuf,
    inputs: Inputs,
    /// Initialised when it is first asked for, finalised with the session.
    #[cfg(feature = "petsc")]
    petsc: std::cell::OnceCell<precondor_petsc::Petsc>,
}

impl Session {
    /// Loads the plugins for a command of one rank. Files that parameters name are looked for in
    /// `base` (none: here), the folder of the configuration.
    pub fn open(plugin_path: &[PathBuf], base: Option<PathBuf>) -> Result<Session> {
        crate::threads::check()?;
        let base = base.filter(|path| path.is_dir()).unwrap_or(".".into());
        let search = Search { extra: plugin_path.to_vec(), base: base.clone() }.checked()?;
        let methods = Methods::search(&search)?;
        let plugins = methods.plugins();
        tell(plugins);
        for problem in plugins.problems_so_far() {
            tracing::warn!("plugin {}: {}", problem.path.display(), problem.reason);
        }
        plugins.replaced_so_far().iter().for_each(|what| tracing::info!("{what}"));
        Ok(Session {
            methods,
            counter: Counter::default(),
            ranks_here: 1,
            base,
            inputs: Inputs::default(),
            #[cfg(feature = "petsc")]
            petsc: std::cell::OnceCell::new(),
        })
    }

    /// Loads the plugins on all ranks, which must have the same ones. Collective.
    pub fn on(world: &World, plugin_path: &[PathBuf], base: Option<PathBuf>) -> Result<Session> {
        let comm = world.comm();
        let mut session = comm.agree(Session::open(plugin_path, base))?;
        session.methods = session.methods.on(comm.clone());
        session.counter = world.counter().clone();
        comm.scope(|| session.check_plugins())?;
        session.ranks_here = world.ranks_here()?;
        session.plugins().share_threads(session.ranks_here);
        session.plugins().read_files_once();
        Ok(session)
    }

    /// Refuses methods that come from another library on rank 0, and libraries that are others there. Ones that are
    /// missing are refused when they are asked for. Collective.
    fn check_plugins(&self) -> Result<()> {
        if self.comm().size() == 1 {
            return Ok(());
        }
        let mine = self.libraries()?;
        let of_first = if self.is_first() { mine.join("\n").into_bytes() } else { vec![] };
        let of_first = self.comm().broadcast(0, of_first)?;
        let of_first = String::from_utf8_lossy(&of_first);
        for theirs in of_first.lines() {
            let what = |line: &str| line.split('\t').next().map(str::to_owned);
            let here = mine.iter().find(|line| what(line) == what(theirs));
            if let Some(here) = here.filter(|here| *here != theirs) {
                let told = |line: &str| line.split('\t').skip(1).collect::<Vec<_>>().join(", ");
                return Err(Error::Plugin(format!(
                    "{} is another one than on rank 0: {}; there: {}; install the same plugins for \
                     all ranks",
                    what(here).unwrap_or_default(),
                    told(here),
                    told(theirs)
                )));
            }
        }
        Ok(())
    }

    /// Name, version and library of every method that is known, then every library, a line each.
    fn libraries(&self) -> Result<Vec<String>> {
        let (mut methods, mut libraries) = (Vec::new(), Vec::new());
        for library in self.plugins().libraries_so_far() {
            let digest = library.digest()?;
            let file = library.path.file_name().unwrap_or_default().display().to_string();
            let sum = format!("SHA-256 {digest:.16}…");
            for name in &library.methods {
                let version = self.generator(name)?.version().to_owned();
                methods.push(format!("method '{name}'\tversion {version}\t{file} with {sum}"));
            }
            libraries.push(format!("library {file}\t{sum}"));
        }
        Ok([methods, libraries].concat())
    }

    /// Carries out what the first rank does for all: it prints, or writes files. Collective.
    ///
    /// # Errors
    /// What `deed` reports, on all ranks.
    pub fn on_first(&self, deed: impl FnOnce() -> Result<()>) -> Result<()> {
        self.comm().agree(if self.is_first() { deed() } else { Ok(()) })
    }

    /// The method `name`, or who is there and where it was looked for.
    pub fn generator(&self, name: &str) -> Result<&Arc<dyn DynGenerator>> {
        self.methods.get(name)
    }

    /// Reads the configuration, which must be the same on all ranks, and carries out the overrides of the
    /// command line. Collective.
    pub fn configuration(&self, path: &Path, overrides: &[String]) -> Result<Node> {
        let text = self.comm().agree(config::text(path))?;
        same::on_all_ranks(self.comm(), &[Fact::new("configuration", text.as_str())])?;
        let mut root = self.comm().agree(config::of_file(path, &text))?;
        self.comm().agree(overrides.iter().try_for_each(|flag| config::set(&mut root, flag)))?;
        Ok(root)
    }

    /// Looks at the files of a command before it starts, which must be the same on all ranks: those of
    /// its systems, and those that `params` of its methods name. Collective.
    pub fn look_at<'p>(
        &self,
        files: &[Vec<PathBuf>],
        params: impl Iterator<Item = &'p Value>,
    ) -> Result<()> {
        let mut named = Vec::new();
        params.for_each(|params| texts(params, &mut named));
        let named: Vec<Vec<PathBuf>> =
            named.iter().map(|name| vec![self.base.join(name)]).collect();
        self.inputs.look(self.comm(), files, &named)
    }

    /// Refuses a method, with what is within it, whose model was trained on the matrix `a`. Collective.
    ///
    /// # Errors
    /// [`Error::Data`] naming the model and the matrix that it learnt from.
    pub fn not_trained_on(&self, params: &Value, a: &DistCsr) -> Result<()> {
        models::not_trained_on(params, &self.base, a)
    }

    /// Refuses files that were changed since [`look_at`](Self::look_at). Not collective.
    pub fn files_unchanged(&self) -> Result<()> {
        self.inputs.unchanged()
    }

    /// The program and the machine, and the files that were read so far.
    pub fn provenance(&self) -> Provenance {
        Provenance {
            mpi: crate::world::library(),
            files: self.files(),
            ..Provenance::of(&self.methods)
        }
    }

    /// The files that were read, those that methods have read on this rank among them.
    pub fn files(&self) -> Vec<Input> {
        let by_methods = self.plugins().files_read();
        let by_methods = by_methods.iter().map(|(path, content)| inputs::digested(path, content));
        self.inputs.told().into_iter().chain(by_methods).collect()
    }

    /// System `index` of a case; files that were changed since [`look_at`](Self::look_at) are refused. Collective.
    pub fn task(&self, case: &Case, index: u64) -> Result<Task> {
        let task = case.task(index, self)?;
        self.comm().agree(self.files_unchanged())?;
        Ok(task)
    }

    /// Whether a machine has more ranks than hardware threads: then times say little. Collective.
    pub fn oversubscribed(&self) -> Result<bool> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut more = [f64::from(u8::from(self.ranks_here > threads))];
        self.comm().max(&mut more)?;
        Ok(more[0] > 0.0)
    }

    /// Counts, from now on, what this rank sends in a measured solve.
    pub fn meter(&self) -> Meter<'_> {
        Meter::new(Some(&self.counter), self.comm())
    }

    /// PETSc, for `backend = "petsc"`.
    #[cfg(feature = "petsc")]
    pub fn petsc(&self) -> Result<&precondor_petsc::Petsc> {
        if let Some(petsc) = self.petsc.get() {
            return Ok(petsc);
        }
        let petsc = precondor_petsc::Petsc::init::<&str>(&[])?;
        Ok(self.petsc.get_or_init(|| petsc))
    }
}

/// Ranks, methods and their services.
impl Deref for Session {
    type Target = Methods;

    fn deref(&self) -> &Methods {
        &self.methods
    }
}

/// All texts in `params`, any of which may be the name of a file.
fn texts<'p>(params: &'p Value, found: &mut Vec<&'p str>) {
    match params {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

/// Logs what was loaded.
fn tell(plugins: &Plugins) {
    let libraries = plugins.libraries_so_far();
    let methods: usize = libraries.iter().map(|library| library.methods.len()).sum();
    tracing::info!("{methods} methods in {} plugins", libraries.len());
    for library in libraries {
        tracing::debug!("{}: {}", library.path.display(), library.methods.join(", "));
    }
}
