//! Which methods are being set up inside which: the depth of composition is bounded.
use precondor_core::{Error, Result};
use std::cell::RefCell;

/// Methods that may be nested.
pub(crate) const DEPTH: usize = 8;

thread_local! {
    static CHAIN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Membership of a method in the chain; ends when dropped.
pub(crate) struct Link(());

impl Drop for Link {
    fn drop(&mut self) {
        CHAIN.with_borrow_mut(|chain| chain.pop());
    }
}

/// Adds `name` to the chain of this thread.
///
/// # Errors
/// [`Error::Parameter`] showing the chain where it gets too long.
pub(crate) fn enter(name: &str) -> Result<Link> {
    CHAIN.with_borrow_mut(|chain| {
        if chain.len() == DEPTH {
            return Err(too_deep(chain.iter().map(String::as_str).chain([name])));
        }
        chain.push(name.to_owned());
        Ok(Link(()))
    })
}

/// Adds `name` where it is the outermost method (an inner one is added by who asks for it).
pub(crate) fn outermost(name: &str) -> Result<Option<Link>> {
    let is_outermost = CHAIN.with_borrow(Vec::is_empty);
    is_outermost.then(|| enter(name)).transpose()
}

/// What to say about a chain that is too long.
pub(crate) fn too_deep<'a>(names: impl Iterator<Item = &'a str>) -> Error {
    let names: Vec<&str> = names.collect();
    Error::Parameter(format!("methods are nested more than {DEPTH} deep: {}", names.join(" → ")))
}
