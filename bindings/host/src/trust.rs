//! Which files may be loaded: nobody but root and the user may have been able to write them, or to say
//! what their names lead to.
//!
//! The rules are those of OpenSSH's `StrictModes`, with two things taken from everyday use: the folder for
//! temporary files, which everybody may write and whose sticky bit keeps others off what is not theirs; and
//! the user's private group, as Debian's OpenSSH has it.
//!
//! On the way from `/` to the file, through every link:
//!
//! - folders, links and the file itself belong to root or to the user;
//! - nothing is writable by everybody, nor by a group but that of root and one that has the user's name, is
//!   the user's first and lists nobody else. Folders with the sticky bit may be, but not the folder that the
//!   name of the file stands in, nor the one that the file itself is in.
//!
//! So a link that somebody else put into a folder such as `/tmp` is refused because it is theirs, and what a
//! link leads to is held to the same rules as the link. Of access-control lists only what the mode shows of
//! them, the most that a group may, is looked at.
use nix::unistd::{Gid, Group, Uid, User};
use precondor_core::{Error, Result};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

const GROUP_WRITABLE: u32 = 0o020;
const WORLD_WRITABLE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Links on the way to a file, at most; Linux follows as many.
const LINKS: usize = 40;

/// The real path of `file`, a regular file, after checking that it may be loaded.
///
/// # Errors
/// [`Error::Plugin`] naming the path and what to do; [`Error::File`] where a part of the path is not there.
pub(crate) fn check(file: &Path) -> Result<PathBuf> {
    let file = std::path::absolute(file).map_err(|e| Error::file(file, e))?;
    let mut way = Way { real: PathBuf::new(), ahead: parts(&file), links: 0 };
    closed(file.parent().unwrap_or(&file))?;
    let mut there = look(Path::new("/"))?;
    while let Some(part) = way.ahead.pop_front() {
        there = way.step(&part)?;
    }
    if !there.is_file() {
        return Err(Error::Plugin(format!("{} is no regular file", way.real.display())));
    }
    closed(way.real.parent().unwrap_or(&way.real))?;
    Ok(way.real)
}

/// How far a path was followed.
struct Way {
    /// A path without links, all of whose parts were checked.
    real: PathBuf,
    ahead: VecDeque<OsString>,
    links: usize,
}

impl Way {
    /// Goes one part on, into what it is, or onto the way that a link says.
    fn step(&mut self, part: &OsString) -> Result<Metadata> {
        if part == ".." {
            self.real.pop();
            return look(&self.real);
        }
        let next = self.real.join(part);
        let there = look(&next)?;
        owned(&next, &there)?;
        if !there.is_symlink() {
            if !there.is_dir() || there.mode() & STICKY == 0 {
                unwritable(&next, &there)?;
            }
            self.real = next;
            return Ok(there);
        }
        self.links += 1;
        if self.links > LINKS {
            return Err(Error::Plugin(format!("{}: its links lead nowhere", next.display())));
        }
        let to = next.read_link().map_err(|e| Error::file(&next, e))?;
        for part in parts(&to).into_iter().rev() {
            self.ahead.push_front(part);
        }
        Ok(there)
    }
}

/// The parts of a path; the first of an absolute one is the root, which starts anew.
fn parts(path: &Path) -> VecDeque<OsString> {
    let kept = path.components().filter(|part| *part != Component::CurDir);
    kept.map(|part| part.as_os_str().to_owned()).collect()
}

/// What a path is; of a link the link itself.
fn look(path: &Path) -> Result<Metadata> {
    path.symlink_metadata().map_err(|e| Error::file(path, e))
}

/// Refuses a folder of plugins that others may put something into.
fn closed(folder: &Path) -> Result<()> {
    unwritable(folder, &folder.metadata().map_err(|e| Error::file(folder, e))?)
}

fn owned(path: &Path, there: &Metadata) -> Result<()> {
    let user = Uid::effective().as_raw();
    if there.uid() == 0 || there.uid() == user {
        return Ok(());
    }
    Err(Error::Plugin(format!(
        "{} belongs to user {}, neither to root nor to you ({user}): not loaded",
        path.display(),
        there.uid()
    )))
}

/// Refuses what others may write, sticky bit or not.
fn unwritable(path: &Path, there: &Metadata) -> Result<()> {
    if there.mode() & WORLD_WRITABLE != 0 {
        return Err(writable(path, "everybody", "o"));
    }
    let group = Gid::from_raw(there.gid());
    if there.mode() & GROUP_WRITABLE != 0 && group.as_raw() != 0 && !private(group) {
        return Err(writable(path, &format!("group {group}"), "g"));
    }
    Ok(())
}

fn writable(path: &Path, who: &str, class: &str) -> Error {
    Error::Plugin(format!(
        "{} can be written by {who}: not loaded; say chmod {class}-w to it",
        path.display()
    ))
}

/// Whether a group is the user's own: it has their name, is their first one, and lists nobody else.
fn private(group: Gid) -> bool {
    let Ok(Some(user)) = User::from_uid(Uid::effective()) else { return false };
    let Ok(Some(found)) = Group::from_gid(group) else { return false };
    let alone = found.mem.iter().all(|member| *member == user.name);
    user.gid == group && found.name == user.name && alone
}
