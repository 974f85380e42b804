//! Signals that ask a command to end: SIGINT, SIGTERM, SIGHUP.
//!
//! Where a command can keep what it has done ([`gracefully`]) the first one is a wish: setups, solves and
//! trainings stop between their parts, what is done is kept and told, and the exit status says which signal it
//! was, 128 and its number as shells have it. Anywhere else, and the second time, it ends the process at once
//! with the same status. On several ranks one that was asked is enough, and all end together with its status.
//!
//! Setups that take long show on a terminal how far they are.
use crate::limit;
use crate::session::Session;
use crate::terminal::clean;
use indicatif::{ProgressBar, ProgressStyle};
use precondor_core::comm::Communicator;
use precondor_core::{Error, Result};
use precondor_host::Onlooker;
use signal_hook::{consts as signals, flag};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The signals that ask for the end.
#[cfg(unix)]
const ENDING: [(i32, &str); 3] =
    [(signals::SIGINT, "SIGINT"), (signals::SIGTERM, "SIGTERM"), (signals::SIGHUP, "SIGHUP")];
#[cfg(not(unix))]
const ENDING: [(i32, &str); 2] = [(signals::SIGINT, "SIGINT"), (signals::SIGTERM, "SIGTERM")];

/// The next signal ends the process. Of the process, as signals are.
static AT_ONCE: AtomicBool = AtomicBool::new(true);
/// The last signal that came; 0 for none.
static CAME: AtomicUsize = AtomicUsize::new(0);

/// When the setup under way began, and what is shown meanwhile.
static SHOWN: Mutex<Option<(Instant, Option<ProgressBar>)>> = Mutex::new(None);

/// Setups shorter than this show nothing.
const SHORT: Duration = Duration::from_millis(500);

/// Catches signals from now on. A file that outgrows its limit becomes an error of the one who writes it.
pub fn catch() -> Result<()> {
    let failed = |e: std::io::Error| Error::Unsupported(format!("cannot catch signals: {e}"));
    for (signal, _) in ENDING {
        flag::register_conditional_shutdown(signal, 128 + signal, &AT_ONCE).map_err(failed)?;
        flag::register(signal, &AT_ONCE).map_err(failed)?;
        flag::register_usize(signal, &CAME, signal as usize).map_err(failed)?;
    }
    #[cfg(unix)]
    {
        static OUTGROWN: AtomicBool = AtomicBool::new(false);
        flag::register(signals::SIGXFSZ, &OUTGROWN).map_err(failed)?;
    }
    Ok(())
}

/// Whether this rank was asked to end.
pub fn asked() -> bool {
    CAME.load(Ordering::Relaxed) != 0
}

/// Whether any rank was asked to end. Collective.
pub fn wished(session: &Session) -> Result<bool> {
    session.comm().any(asked())
}

/// Refuses to go on where any rank was asked to end. Collective.
pub fn check(session: &Session) -> Result<()> {
    if wished(session)? { Err(Error::Interrupted) } else { Ok(()) }
}

/// The exit status that says so; 0 where this rank was not asked.
pub fn status() -> u8 {
    match CAME.load(Ordering::Relaxed) {
        0 => 0,
        signal => 128 + signal as u8,
    }
}

/// The signal behind an exit status.
pub fn name(status: u8) -> &'static str {
    let signal = i32::from(status) - 128;
    ENDING.iter().find(|(number, _)| *number == signal).map_or("a signal", |(_, name)| name)
}

/// The signal that any rank was asked by. Collective.
pub fn which(session: &Session) -> Result<&'static str> {
    let mut most = [f64::from(status())];
    session.comm().max(&mut most)?;
    Ok(name(most[0] as u8))
}

/// Does what looks at [`asked`], or has somebody look, between its parts.
pub fn gracefully<T>(work: impl FnOnce() -> T) -> T {
    let before = AT_ONCE.swap(asked(), Ordering::Relaxed);
    let done = work();
    AT_ONCE.store(before, Ordering::Relaxed);
    if asked() {
        AT_ONCE.store(true, Ordering::Relaxed);
    }
    done
}

/// Lends methods of this session an eye for wishes, and shows how far their setups are.
pub fn watch(session: &Session) {
    let shown = session.is_first();
    session.plugins().look_on(Onlooker {
        progress: Box::new(move |done, total, what| {
            if shown {
                show(done, total, what);
            }
        }),
        cancelled: Box::new(|| asked() || limit::passed()),
    });
}

/// Sets something up, which a signal may end.
pub fn guarded<T>(setup: impl FnOnce() -> Result<T>) -> Result<T> {
    let shown = || SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *shown() = Some((Instant::now(), None));
    let made = gracefully(setup);
    if let Some((_, Some(bar))) = shown().take() {
        bar.finish_and_clear();
    }
    made
}

/// On a terminal only: a bar draws nowhere else.
fn show(done: u64, total: u64, what: &str) {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((_, bar)) = shown.as_mut().filter(|(start, _)| start.elapsed() > SHORT) else {
        return;
    };
    let bar = bar.get_or_insert_with(|| {
        let bar = ProgressBar::new(total);
        match ProgressStyle::with_template("setup {bar:30} {pos}/{len} {msg}, {elapsed}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    });
    bar.set_length(total);
    bar.set_position(done);
    bar.set_message(clean(what).into_owned());
}
