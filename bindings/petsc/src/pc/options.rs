//! Options: `-[prefix]pc_precondor_KEY`, read into a configuration section and checked as one.
//!
//! | option | what |
//! |---|---|
//! | `_name NAME` | the method, where the type does not name it |
//! | `_config FILE` | a section `[preconditioner]` to start from; other options override it |
//! | `_reuse POLICY` | when M is made anew as matrices change |
//! | `_setup_cost NUMBER` | iterations that a setup counts for |
//! | `_explicit` | apply the stored inverse as a matrix of PETSc |
//! | `_explicit_view VIEWER` | show it |
//! | `_PARAM VALUE` | a parameter of the method |
//! | `_PARAM NAME`, `_PARAM_name NAME` | a parameter that names a method |
//! | `_PARAM_INNER VALUE` | a parameter of that method |
//! | `_PARAM NAME,NAME` | a parameter that is a list of methods |
//! | `_PARAM_K NAME`, `_PARAM_K_name NAME`, `_PARAM_K_INNER VALUE` | the method K of such a list, from 0 |
//!
//! Options have underscores where parameters have hyphens; the names of methods and of choices may be
//! written with either. A list is `1,2`, one of lists `1,2;3`; yes and no are what PETSc takes for them.
//!
//! What begins like one of our options and is none ends with an error that lists those there are.
use super::callback::{Done, guard};
use super::context::{self, Context};
use super::methods::{TYPE, plugins, type_name, type_of};
use super::settings::Settings;
use super::value::{hyphens, value, yes};
use crate::api::{Api, Bool, IntCell, MPI_Comm, Object, Options, RawPc, text};
use precondor_core::comm::Comm;
use precondor_core::config::{self, Content, Node};
use precondor_core::registry::Registry;
use precondor_core::reuse::Reuse;
use precondor_core::schema::{self, METHOD, named_method};
use precondor_core::{Error, Result, input, words};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, PoisonError};

/// Keys that are no parameters.
const OWN: [(&str, &str); 6] = [
    ("name", "the method, one of"),
    ("config", "a file whose section [preconditioner] names a method and its parameters"),
    (
        "reuse",
        "when M is made anew as matrices change: refresh (for each, the default), keep (where it fails) or adaptive (where \
         iterations counted so far say that it pays)",
    ),
    (
        "setup_cost",
        "iterations that a setup counts for with adaptive; reckoned from what M stores unless given",
    ),
    ("explicit", "apply the stored inverse as a matrix of PETSc (MatMult)"),
    ("explicit_view", "show the stored inverse: a viewer, such as ::ascii_info or draw"),
];
/// Methods that may be nested.
const DEPTH: usize = 8;
/// Bytes of a value, at most.
const LONGEST: usize = 1 << 14;

/// Reads the options of a PC of ours: what `PCSetFromOptions` ends with.
pub(super) unsafe extern "C" fn read(object: Object, _: *mut c_void, _: *mut c_void) -> c_int {
    let pc: RawPc = object.cast();
    // SAFETY: PETSc calls this with the live PC that the handler was added to.
    unsafe {
        guard(pc, c"PCSetFromOptions_Precondor", |api| {
            // It may have become of another type since.
            if type_name(api, pc)?.is_none() {
                return Ok(());
            }
            let database = Database::of(api, pc)?;
            context::with(pc, |context| {
                let comm = context.comm(api, database.comm)?;
                let settings = database.settings(context, &comm)?;
                context.settings = Some(settings);
                Ok(())
            })
        })
    }
}

/// The options that a PC may read.
struct Database {
    api: &'static Api,
    options: Options,
    comm: MPI_Comm,
    /// The prefix of the PC's options.
    prefix: CString,
    registry: &'static Registry,
}

/// A value that an option gives, and the option as it was given.
struct Given {
    keys: Vec<String>,
    value: Value,
    said: String,
}

impl Database {
    /// # Safety
    /// `pc` is live.
    unsafe fn of(api: &'static Api, pc: RawPc) -> Done<Self> {
        let (mut options, mut prefix) = (null_mut(), null());
        let mut comm = std::mem::MaybeUninit::<MPI_Comm>::uninit();
        // SAFETY: the caller's promise; the prefix is null or a C string of PETSc's.
        unsafe {
            api.PetscObjectGetComm(pc.cast(), comm.as_mut_ptr())?;
            api.PetscObjectGetOptions(pc.cast(), &mut options)?;
            api.PCGetOptionsPrefix(pc, &mut prefix)?;
            let prefix = if prefix.is_null() { c"" } else { CStr::from_ptr(prefix) }.to_owned();
            let comm = comm.assume_init();
            Ok(Database { api, options, comm, prefix, registry: plugins()?.registry() })
        }
    }

    /// An option in full.
    fn option(&self, key: &str) -> String {
        format!("-{}pc_{TYPE}_{key}", self.prefix.to_string_lossy())
    }

    /// The value of an option, if it is given; empty where it has none.
    fn get(&self, key: &str) -> Done<Option<String>> {
        let name = text(&format!("-pc_{TYPE}_{key}"));
        let mut value = vec![0u8; LONGEST];
        let mut found = Bool::default();
        let room = value.as_mut_ptr().cast::<c_char>();
        // SAFETY: C strings, and as much room as said.
        unsafe {
            let (options, prefix) = (self.options, self.prefix.as_ptr());
            let (name, found) = (name.as_ptr(), &mut found);
            self.api.PetscOptionsGetString(options, prefix, name, room, LONGEST, found)?;
        }
        let value = CStr::from_bytes_until_nul(&value).unwrap_or_default();
        Ok(found.get().then(|| value.to_string_lossy().into_owned()))
    }

    fn is_given(&self, key: &str) -> Done<bool> {
        let (name, mut found) = (text(&format!("-pc_{TYPE}_{key}")), Bool::default());
        let (options, prefix) = (self.options, self.prefix.as_ptr());
        // SAFETY: C strings.
        unsafe { self.api.PetscOptionsHasName(options, prefix, name.as_ptr(), &mut found)? };
        Ok(found.get())
    }

    fn settings(&self, context: &Context, comm: &Comm) -> Done<Settings> {
        let (mut root, base) = match self.get("config")? {
            Some(file) => self.section(&file, comm)?,
            None => (config::parse(&self.option(""), Path::new(""), "")?, PathBuf::from(".")),
        };
        let explicit = match self.get("explicit")? {
            None => false,
            Some(value) => yes(&value).ok_or_else(|| {
                let option = self.option("explicit");
                Error::Parameter(format!("{option} {value}: it is neither true nor false"))
            })?,
        };
        let explicit_view = self.is_given("explicit_view")?;
        let reuse = self.reuse()?;
        self.name(&mut root, context)?;
        let mut known: Vec<String> = OWN.iter().map(|(key, _)| (*key).to_owned()).collect();
        let named = root.get("name").and_then(|name| name.text().ok()).map(str::to_owned);
        let schema = named.as_deref().and_then(|name| Some(self.registry.get(name).ok()?.schema()));
        if let Some(schema) = &schema {
            let mut all = Vec::new();
            let at = Place { keys: &[], stem: "", depth: 0 };
            self.parameters(&root, schema, at, &mut all, &mut known)?;
            for Given { keys, value, said } in all {
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                config::put(&mut root, &keys, value, &said)?;
            }
        }
        self.help(named.as_deref(), schema.as_ref())?;
        let Some(_) = root.get("name") else { return Err(self.no_method().into()) };
        let method = config::method(&root, |name, params| {
            plugins()?.get(name)?;
            precondor_host::fault(self.registry, name, params)
        })?;
        self.left_over(&known)?;
        Ok(Settings { method, base, reuse, explicit, explicit_view })
    }

    /// When M is made anew as matrices change, and what a setup counts for.
    fn reuse(&self) -> Done<(Reuse, Option<f64>)> {
        let wrong = |key: &str, value: &str, why: &str| {
            Error::Parameter(format!("{} {value}: {why}", self.option(key)))
        };
        let reuse = match self.get("reuse")? {
            None => Reuse::default(),
            Some(name) => {
                *Reuse::ALL.iter().find(|reuse| reuse.name() == name).ok_or_else(|| {
                    let names = Reuse::ALL.map(Reuse::name).join(", ");
                    wrong("reuse", &name, &format!("no such policy (there are: {names})"))
                })?
            }
        };
        let Some(text) = self.get("setup_cost")? else { return Ok((reuse, None)) };
        let cost = text.parse().ok().filter(|cost: &f64| *cost > 0.0 && cost.is_finite());
        let cost = cost.ok_or_else(|| wrong("setup_cost", &text, "it is no number above 0"))?;
        match reuse {
            Reuse::Adaptive => Ok((reuse, Some(cost))),
            _ => Err(wrong("setup_cost", &text, "goes with adaptive only").into()),
        }
    }

    fn no_method(&self) -> Error {
        let all: Vec<&str> = self.registry.iter().map(|method| method.name()).collect();
        let there = match all.is_empty() {
            true => "none was found; PRECONDOR_PATH says where to look".into(),
            false => all.join(", "),
        };
        Error::Parameter(format!("{} is missing: the method to use ({there})", self.option("name")))
    }

    /// The section of a configuration file, which rank 0 reads for all, and its folder.
    fn section(&self, file: &str, comm: &Comm) -> Result<(Node, PathBuf)> {
        let path = Path::new(file);
        let mine = match comm.rank() {
            0 => input::read_to_string(path).map_err(|e| Error::file(path, e)),
            _ => Ok(String::new()),
        };
        let content = comm.agree(mine)?.into_bytes();
        let content = comm.broadcast(0, content)?;
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new(".")).to_owned();
        let root = config::parse(file, &folder, &String::from_utf8_lossy(&content))?;
        let none = || root.error("there is no section [preconditioner]");
        let section = root.get("preconditioner").ok_or_else(none)?;
        // A name alone stands for a section with nothing but it.
        let section = match section.text() {
            Ok(_) => config::parse(file, &folder, "")?.with_child("name", section),
            Err(_) => section.clone(),
        };
        Ok((section, folder))
    }

    /// Puts the method's name where the section has it: from the option, or from the type.
    fn name(&self, root: &mut Node, context: &Context) -> Done {
        let option = self.get("name")?;
        if let Some(name) = &option {
            let said = format!("{} {name}", self.option("name"));
            let name = Value::String(hyphens(name));
            config::put(root, &["name"], name, &said)?;
        }
        if let Some(fixed) = &context.fixed {
            if let Some(other) = root.get("name").filter(|name| name.text().ok() != Some(fixed)) {
                return Err(other
                    .wrong(&format!("is not what -pc_type {} is", type_of(fixed)))
                    .into());
            }
            let said = format!("-pc_type {}", type_of(fixed));
            config::put(root, &["name"], Value::String(fixed.clone()), &said)?;
        }
        Ok(())
    }

    /// Collects what options say about the parameters of `schema`, and the keys of all options that
    /// there are.
    fn parameters(
        &self,
        root: &Node,
        schema: &Value,
        at: Place<'_>,
        all: &mut Vec<Given>,
        known: &mut Vec<String>,
    ) -> Done {
        let properties = schema["properties"].as_object().into_iter().flatten();
        // Under the name of today and that of before.
        let named = properties.flat_map(|(name, property)| {
            let old = property[schema::OLD_NAME].as_str().map(str::to_owned);
            std::iter::once(name.clone()).chain(old).map(move |name| (name, property))
        });
        for (name, property) in named {
            let key = format!("{}{}", at.stem, name.replace('-', "_"));
            let keys: Vec<String> = at.keys.iter().cloned().chain([name.clone()]).collect();
            let of = schema::resolve(schema, property);
            known.push(key.clone());
            if is_method(schema, of) {
                let inside = Place { keys: &keys, stem: &format!("{key}_"), depth: at.depth + 1 };
                self.inner(root, &property["default"], inside, all, known)?;
            } else if schema::lists_methods(schema, of) {
                let inside = Place { keys: &keys, stem: &format!("{key}_"), depth: at.depth + 1 };
                self.list(root, &property["default"], inside, all, known)?;
            } else if of["properties"].is_object() {
                let mut with_definitions = of.clone();
                with_definitions["$defs"] = schema["$defs"].clone();
                let inside = Place { keys: &keys, stem: &format!("{key}_"), depth: at.depth + 1 };
                if inside.depth < DEPTH {
                    self.parameters(root, &with_definitions, inside, all, known)?;
                }
            } else if let Some(given) = self.get(&key)? {
                let said = format!("{} {given}", self.option(&key)).trim_end().to_owned();
                all.push(Given { keys, value: value(schema, of, &given), said });
            }
        }
        Ok(())
    }

    /// Collects what options say about a method that the parameter at `at` names.
    fn inner(
        &self,
        root: &Node,
        default: &Value,
        at: Place<'_>,
        all: &mut Vec<Given>,
        known: &mut Vec<String>,
    ) -> Done {
        let (key, full) = (at.stem.trim_end_matches('_'), format!("{}name", at.stem));
        known.push(full.clone());
        let given = match self.get(key)? {
            Some(name) => Some((key, name)),
            None => self.get(&full)?.map(|name| (&*full, name)),
        };
        let there = at.find(root).map(Node::json);
        let (chosen, first) = match given {
            Some((key, name)) => {
                let (value, said) = (hyphens(&name), format!("{} {name}", self.option(key)));
                let keys = at.keys.to_vec();
                let value = Value::String(value);
                (value.clone(), Some(Given { keys, value, said }))
            }
            None => match there {
                Some(value) => (value, None),
                None => {
                    let said = self.option(key);
                    let given = Given { keys: at.keys.to_vec(), value: default.clone(), said };
                    (default.clone(), Some(given))
                }
            },
        };
        let by_option = first.as_ref().is_some_and(|first| first.value != *default);
        let before = all.len();
        let method = named_method(&chosen).and_then(|(name, _)| self.registry.get(&name).ok());
        if let Some(method) = method.filter(|_| at.depth < DEPTH) {
            self.parameters(root, &method.schema(), at, all, known)?;
        }
        // The default needs to be written down only where parameters of it are given.
        if let Some(first) = first.filter(|_| by_option || all.len() > before) {
            all.insert(before, first);
        }
        Ok(())
    }

    /// Collects what options say about the methods of a list: those that it has, named by one option, by the
    /// configuration or by default, and further ones that options name one by one.
    fn list(
        &self,
        root: &Node,
        default: &Value,
        at: Place<'_>,
        all: &mut Vec<Given>,
        known: &mut Vec<String>,
    ) -> Done {
        let key = at.stem.trim_end_matches('_');
        let put = |root: &mut Node, given: &Given| {
            let keys: Vec<&str> = given.keys.iter().map(String::as_str).collect();
            config::put(root, &keys, given.value.clone(), &given.said)
        };
        let mut root = root.clone();
        let mut first = None;
        if let Some(names) = self.get(key)? {
            let value = names.split(',').map(hyphens).collect();
            let said = format!("{} {names}", self.option(key));
            let given = Given { keys: at.keys.to_vec(), value, said };
            put(&mut root, &given)?;
            all.push(given);
        } else if at.find(&root).is_none() {
            let (value, said) = (default.clone(), self.option(key));
            let given = Given { keys: at.keys.to_vec(), value, said };
            put(&mut root, &given)?;
            first = Some(given);
        }
        let before = all.len();
        let count = at.find(&root).map_or(0, |list| list.items().len());
        for k in 0.. {
            let stem = format!("{}{k}_", at.stem);
            known.push(stem.trim_end_matches('_').to_owned());
            if k >= count && !self.is_named(key, k)? {
                break;
            }
            let keys: Vec<String> = at.keys.iter().cloned().chain([k.to_string()]).collect();
            let item = Place { keys: &keys, stem: &stem, depth: at.depth };
            self.inner(&root, &Value::Null, item, all, known)?;
        }
        // The default needs to be written down only where something is said about its methods.
        if let Some(first) = first.filter(|_| all.len() > before) {
            all.insert(before, first);
        }
        Ok(())
    }

    /// Whether an option names method `k` of the list `key`. PETSc reads `methods_name` for
    /// `methods_0_name` and all others; that adds no method to a list.
    fn is_named(&self, key: &str, k: usize) -> Done<bool> {
        let shared = self.is_given(&format!("{key}_name"))?;
        let named = || self.is_given(&format!("{key}_{k}_name"));
        Ok(self.is_given(&format!("{key}_{k}"))? || (!shared && named()?))
    }

    /// Refuses options that look like ours and are none.
    fn left_over(&self, known: &[String]) -> Done {
        let mut count = IntCell::default();
        let (mut names, mut values) = (null_mut(), null_mut());
        let mut left = Vec::new();
        // SAFETY: PETSc hands out that many C strings and takes them back.
        unsafe {
            self.api.PetscOptionsLeftGet(self.options, &mut count, &mut names, &mut values)?;
            let n = self.api.int(count) as usize;
            for &name in crate::api::slice(names, n) {
                left.push(CStr::from_ptr(name).to_string_lossy().into_owned());
            }
            self.api.PetscOptionsLeftRestore(self.options, &mut count, &mut names, &mut values)?;
        }
        let prefix = self.prefix.to_string_lossy();
        for stem in [prefix.clone().into_owned(), without_numbers(&prefix)] {
            let stem = format!("{stem}pc_{TYPE}_");
            for option in &left {
                let Some(key) = option.strip_prefix(&stem) else { continue };
                let why = schema::unknown(key, known.iter()).replacen("key", "option", 1);
                return Err(Error::Parameter(format!("-{option}: {why}")).into());
            }
        }
        Ok(())
    }

    /// Prints the options, where `-help` asks for it: once for each prefix and method.
    fn help(&self, name: Option<&str>, schema: Option<&Value>) -> Done {
        let mut wanted = Bool::default();
        // SAFETY: plain arguments.
        unsafe { self.api.PetscOptionsHasHelp(self.options, &mut wanted)? };
        static PRINTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let key = format!("{} {}", self.option(""), name.unwrap_or_default());
        let mut printed = PRINTED.lock().unwrap_or_else(PoisonError::into_inner);
        if !wanted.get() || !printed.insert(key) {
            return Ok(());
        }
        let mut lines =
            vec![format!("Precondor preconditioner (PC {TYPE}) options {}", "-".repeat(33))];
        for (key, about) in OWN {
            let about = match key {
                "name" => {
                    let all: Vec<&str> = self.registry.iter().map(|method| method.name()).collect();
                    format!("{about} {}", all.join(" "))
                }
                _ => about.to_owned(),
            };
            let now =
                name.filter(|_| key == "name").map_or(String::new(), |name| format!(" <{name}>"));
            lines.push(format!("  {}{now}: {about}", self.option(key)));
        }
        if let (Some(name), Some(schema)) = (name, schema) {
            lines.push(format!(" Parameters of {name}:"));
            self.describe(schema, "", &mut lines, 0)?;
        }
        for line in lines {
            // SAFETY: PETSc is initialised, the communicator that of a live PC.
            unsafe { self.api.print_help(self.comm, &line)? };
        }
        Ok(())
    }

    /// Lines about the parameters of `schema`, and about those of inner methods that options reach.
    fn describe(&self, schema: &Value, stem: &str, lines: &mut Vec<String>, depth: usize) -> Done {
        for parameter in words::parameters(schema) {
            let key = format!("{stem}{}", parameter.name.replace('-', "_"));
            lines.push(format!("  {}{}", self.option(&key), line(&parameter)));
            let of = schema::resolve(schema, &schema["properties"][&parameter.name]);
            if depth + 1 >= DEPTH {
                continue;
            }
            if is_method(schema, of) {
                self.describe_inner(&key, parameter.default.as_ref(), lines, depth)?;
            } else if schema::lists_methods(schema, of) {
                let names = self.get(&key)?.map(|names| names.split(',').map(hyphens).collect());
                let list = names.or(parameter.default).unwrap_or_default();
                let items = list.as_array().cloned().unwrap_or_default();
                for k in 0.. {
                    let item = items.get(k);
                    if item.is_none() && !self.is_named(&key, k)? {
                        break;
                    }
                    self.describe_inner(&format!("{key}_{k}"), item, lines, depth)?;
                }
            }
        }
        Ok(())
    }

    /// Lines about the parameters of the method that an option names, or `default`.
    fn describe_inner(
        &self,
        key: &str,
        default: Option<&Value>,
        lines: &mut Vec<String>,
        depth: usize,
    ) -> Done {
        let given = self.get(key)?.or(self.get(&format!("{key}_name"))?).map(|n| hyphens(&n));
        let default = default.and_then(named_method).map(|(name, _)| name);
        match given.or(default).and_then(|name| self.registry.get(&name).ok()) {
            Some(inner) => self.describe(&inner.schema(), &format!("{key}_"), lines, depth + 1),
            None => Ok(()),
        }
    }
}

/// Where parameters stand: their keys in the section, the beginning of their options, and how many
/// methods are around them.
#[derive(Clone, Copy)]
struct Place<'a> {
    keys: &'a [String],
    stem: &'a str,
    depth: usize,
}

impl Place<'_> {
    /// What is there in a section.
    fn find<'n>(&self, root: &'n Node) -> Option<&'n Node> {
        self.keys.iter().try_fold(root, |node, key| match node.content() {
            Content::List(items) => key.parse().ok().and_then(|k: usize| items.get(k)),
            _ => node.get(key),
        })
    }
}

/// What help says about a parameter, after its option.
fn line(parameter: &words::Parameter) -> String {
    let default = match &parameter.default {
        Some(Value::String(text)) => format!(" <{text}>"),
        Some(value) => format!(" <{value}>"),
        None => String::new(),
    };
    let names: Vec<&str> = parameter.choices.iter().map(|(name, _)| name.as_str()).collect();
    let kind = match parameter.kind.as_str() {
        "one of" => format!("one of {}", names.join(" ")),
        kind if kind.starts_with("a method") => "a method".into(),
        kind if kind.starts_with("a list of methods") => "a list of methods".into(),
        kind => kind.to_owned(),
    };
    let about: Vec<&str> = parameter.about.split_whitespace().collect();
    format!("{default}: {} ({kind})", about.join(" "))
}

/// A prefix without the numbers of levels and blocks, which PETSc leaves out when it looks options up:
/// `mg_levels_1_` is served by `mg_levels_` as well.
fn without_numbers(prefix: &str) -> String {
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    prefix.split('_').filter(|part| !number(part)).collect::<Vec<_>>().join("_")
}

/// Whether a parameter names a method.
fn is_method(root: &Value, of: &Value) -> bool {
    let alternatives = ["anyOf", "oneOf"].iter().flat_map(|key| of[*key].as_array()).flatten();
    of[METHOD] == Value::Bool(true)
        || alternatives.into_iter().any(|one| is_method(root, schema::resolve(root, one)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_share_the_options_of_all_levels() {
        assert_eq!(without_numbers("mg_levels_12_"), "mg_levels_");
        assert_eq!(without_numbers("sub_0_inner_"), "sub_inner_");
        assert_eq!(without_numbers("a1_"), "a1_");
        assert_eq!(without_numbers(""), "");
    }
}
