//! Libraries as they are found: known from before, or seen for the first time.
use crate::deferred;
use crate::index::{Index, Stamp};
use crate::library::{self, Contents};
use crate::probe::{LibraryInfo, PATIENCE, looks_in_children, probe};
use crate::services::Peers;
use crate::unseen::Library;
use precondor_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What there is to know of a library.
pub(crate) enum Seen {
    /// What it has, or why that is nothing.
    Known(Result<Contents>),
    /// It was not looked at.
    Unseen(Library),
}

/// Looks at each library: what is not known is asked in a child, where this program has children, and else left alone.
pub(crate) fn look(files: &[PathBuf], peers: &Arc<Peers>) -> Vec<Seen> {
    let mut index = Index::read();
    let stamps: Vec<Option<Stamp>> = files.iter().map(|file| Stamp::of(file)).collect();
    let known = |file: &Path, stamp: &Option<Stamp>| {
        let stamp = stamp.as_ref()?;
        let infos = index.get(file, stamp)?;
        Some(deferred::contents(file.to_owned(), stamp.clone(), infos, peers))
    };
    let known: Vec<Option<Contents>> =
        files.iter().zip(&stamps).map(|(file, stamp)| known(file, stamp)).collect();
    let new = |k: &usize| known[*k].is_none() && stamps[*k].is_some() && looks_in_children();
    let mut asked = ask(files, &(0..files.len()).filter(new).collect::<Vec<_>>());
    let mut all = Vec::new();
    for (k, (known, stamp)) in known.into_iter().zip(stamps).enumerate() {
        let file = &files[k];
        all.push(match (known, asked[k].take(), stamp) {
            (Some(contents), _, _) => Seen::Known(Ok(contents)),
            (None, Some(Ok(infos)), Some(stamp)) => {
                let contents = deferred::contents(file.clone(), stamp.clone(), &infos, peers);
                index.put(file, stamp, infos);
                Seen::Known(Ok(contents))
            }
            (None, Some(Err(e)), _) => Seen::Known(Err(e)),
            (None, None, Some(stamp)) => {
                Seen::Unseen(Library::new(k, file, stamp, index.before(file)))
            }
            // A file that is gone, or a system whose files have no stamps: the error tells.
            (None, _, None) => Seen::Known(open(file, peers)),
        });
    }
    index.write();
    all
}

fn open(file: &Path, peers: &Arc<Peers>) -> Result<Contents> {
    // SAFETY: only root and the user can have written the file, or put it where it is, which is looked at
    // before it is opened: it is trusted as the program itself.
    unsafe { library::open(file, peers, &|_| {}) }
}

/// What the libraries `which` say in children, as many at a time as there are processors; nothing of the others.
fn ask(files: &[PathBuf], which: &[usize]) -> Vec<Option<Result<LibraryInfo>>> {
    let mut all: Vec<_> = files.iter().map(|_| None).collect();
    let at_a_time = std::thread::available_parallelism().map_or(1, usize::from);
    for some in which.chunks(at_a_time) {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let child = |&k: &usize| scope.spawn(move || probe(&files[k], PATIENCE));
            let children: Vec<_> = some.iter().map(child).collect();
            let panicked = |_| Err(Error::Plugin("looking at it failed".into()));
            children.into_iter().map(|child| child.join().unwrap_or_else(panicked)).collect()
        });
        some.iter().zip(answers).for_each(|(&k, answer)| all[k] = Some(answer));
    }
    all
}
