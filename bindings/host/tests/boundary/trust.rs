//! Files that others could have written, or put in the way of: none of them is loaded.
//!
//! Only root can give files away. Whoever else runs these tests checks the rest.
use crate::support::load;
use precondor_host::Search;
use precondor_testkit::compile::compile;
use precondor_testkit::program::Folder;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A user, and a group, that nobody here is in.
const STRANGER: u32 = 12345;
const NAME: &str = "libprecondor_plugin_x.so";

/// A library in `scratch/above/inside`, as far as a search is concerned.
struct Place {
    scratch: Folder,
}

impl Place {
    fn new() -> Self {
        let place = Place { scratch: Folder::unnamed() };
        fs::create_dir_all(place.inside()).expect("folders");
        fs::write(place.file(), "").expect("a file");
        for path in [place.above(), place.inside(), place.file()] {
            mode(&path, 0o755);
        }
        place
    }
    fn above(&self) -> PathBuf {
        self.scratch.path().join("above")
    }
    fn inside(&self) -> PathBuf {
        self.above().join("inside")
    }
    fn file(&self) -> PathBuf {
        self.inside().join(NAME)
    }
    /// Why the library is passed over; none where it may be loaded.
    fn refusal(&self) -> Option<String> {
        refusal(&self.inside())
    }
}

fn refusal(folder: &Path) -> Option<String> {
    let found = Search { extra: vec![folder.to_owned()], base: ".".into() }.find();
    let told = found.problems.iter().find(|problem| problem.path.ends_with(NAME));
    let there = found.candidates.iter().any(|candidate| candidate.name == "x");
    assert!(there != told.is_some(), "{found:?}");
    told.map(|problem| problem.reason.clone())
}

#[track_caller]
fn refused(why: Option<String>, parts: &[&str]) {
    let text = why.expect("it is refused");
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
}

/// Whether this user may give files away.
fn root() -> bool {
    let scratch = Folder::unnamed();
    chown(scratch.path(), Some(STRANGER), None).is_ok()
}

#[test]
fn what_everybody_can_write_is_refused() {
    let place = Place::new();
    assert_eq!(place.refusal(), None);
    for path in [place.file(), place.inside(), place.above()] {
        mode(&path, 0o777);
        let name = path.display().to_string();
        refused(
            place.refusal(),
            &[&name, "can be written by everybody: not loaded; say chmod o-w"],
        );
        mode(&path, 0o755);
        assert_eq!(place.refusal(), None);
    }
    // The sticky bit keeps others off what is in a folder further up, as it does for /tmp; but not off
    // adding to the folder itself.
    mode(&place.above(), 0o1777);
    assert_eq!(place.refusal(), None);
    mode(&place.inside(), 0o1777);
    refused(place.refusal(), &["by everybody"]);
}

#[test]
fn what_a_foreign_group_can_write_is_refused() {
    if !root() {
        return;
    }
    let place = Place::new();
    for path in [place.file(), place.inside(), place.above()] {
        chown(&path, None, Some(STRANGER)).expect("root");
        assert_eq!(place.refusal(), None, "it may read");
        mode(&path, 0o775);
        let name = path.display().to_string();
        refused(
            place.refusal(),
            &[&name, "can be written by group 12345: not loaded", "chmod g-w"],
        );
        // That of root is as good as root.
        chown(&path, None, Some(0)).expect("root");
        assert_eq!(place.refusal(), None);
    }
    chown(place.above(), None, Some(STRANGER)).expect("root");
    mode(&place.above(), 0o1775);
    assert_eq!(place.refusal(), None, "sticky");
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    if !root() {
        return;
    }
    let place = Place::new();
    for path in [place.file(), place.inside(), place.above()] {
        chown(&path, Some(STRANGER), None).expect("root");
        let name = path.display().to_string();
        refused(place.refusal(), &[&name, "belongs to user 12345, neither to root nor to you"]);
        chown(&path, Some(0), None).expect("root");
        assert_eq!(place.refusal(), None);
    }
}

#[test]
fn a_link_and_what_it_leads_to_are_both_looked_at() {
    let (place, ours) = (Place::new(), Folder::unnamed());
    // A link to the file, in a folder of ours.
    let link = ours.path().join(NAME);
    symlink(place.file(), &link).expect("linked");
    assert_eq!(refusal(ours.path()), None);
    for path in [place.inside(), place.above()] {
        mode(&path, 0o777);
        refused(refusal(ours.path()), &[&path.display().to_string(), "by everybody"]);
        mode(&path, 0o755);
    }
    // A link to a folder, in one that everybody may put things into.
    let open = Folder::unnamed();
    mode(open.path(), 0o1777);
    let way = open.path().join("way");
    symlink(place.inside(), &way).expect("linked");
    assert_eq!(refusal(&way), None, "ours, and nobody else can change it");
    // A link that leads through one.
    let through = ours.path().join("through");
    symlink("way", open.path().join("relative")).expect("linked");
    symlink(open.path().join("relative/../inside"), &through).expect("linked");
    assert_eq!(refusal(&through), None);
    if root() {
        for path in [&link, &way] {
            lchown(path, Some(STRANGER), None).expect("root");
        }
        for folder in [ours.path(), &way, &through] {
            refused(refusal(folder), &["belongs to user 12345"]);
        }
    }
}

#[test]
fn what_is_no_regular_file_is_refused_without_opening_it() {
    let place = Place::new();
    fs::remove_file(place.file()).expect("removed");
    let made = Command::new("mkfifo").arg(place.file()).status().expect("mkfifo");
    assert!(made.success());
    refused(place.refusal(), &["is no regular file"]);
    fs::remove_file(place.file()).expect("removed");
    fs::create_dir(place.file()).expect("a folder");
    refused(place.refusal(), &["is no regular file"]);
    fs::remove_dir(place.file()).expect("removed");
    symlink("/dev/null", place.file()).expect("linked");
    refused(place.refusal(), &["by everybody"]);
    fs::remove_file(place.file()).expect("removed");
    symlink(NAME, place.file()).expect("linked");
    refused(place.refusal(), &["its links lead nowhere"]);
}

/// A library whose initialisers leave a file behind.
#[test]
fn nothing_of_a_library_runs_before_it_is_looked_at() {
    let folder = Folder::unnamed();
    let trace = folder.path().join("ran");
    let define = format!("-DTRACE=\"{}\"", trace.display());
    let include = "bindings/abi/include";
    let file = compile(folder.path(), "faulty", "tests/c/faulty.c", include, &[&define]);
    mode(&file, 0o777);
    let text = load(&file).err().expect("refused").to_string();
    assert!(text.contains("can be written by everybody"), "{text}");
    assert_eq!(text.matches("libprecondor_plugin_faulty.so").count(), 1, "{text}");
    assert!(!trace.exists(), "it ran");
    mode(&file, 0o755);
    assert!(load(&file).is_ok() && trace.exists());
}
