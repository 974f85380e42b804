//! Setups that take long: how far they are, on a terminal, and their end where the user asks for it.
//!
//! While a preconditioner is set up, the first interrupt (SIGINT, SIGTERM) asks the method to stop, and a
//! second one ends the program; at any other time the first one ends it. The exit status is 130 in every
//! case. On several ranks whoever was asked fails, and so ends the setup on all of them.
use crate::session::Session;
use indicatif::{ProgressBar, ProgressStyle};
use precondor_core::{Error, Result};
use precondor_host::Onlooker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Exit status of a program that an interrupt ended, as shells have it.
pub const STATUS: u8 = 130;

/// Whether a preconditioner is being set up, and whether that shall end. Of the process, as a signal is.
static SETTING_UP: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicBool = AtomicBool::new(false);
/// When that setup began, and what is shown meanwhile.
static SHOWN: Mutex<Option<(Instant, Option<ProgressBar>)>> = Mutex::new(None);

/// Setups shorter than this show nothing.
const SHORT: Duration = Duration::from_millis(500);

/// Shows setups of this session on a terminal, and lets interrupts end them.
pub fn watch(session: &Session) -> Result<()> {
    static HANDLED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let handle = || {
        ctrlc::set_handler(|| {
            if !SETTING_UP.load(Ordering::Relaxed) || ASKED.swap(true, Ordering::Relaxed) {
                std::process::exit(STATUS.into());
            }
        })
        .map_err(|e| e.to_string())
    };
    HANDLED
        .get_or_init(handle)
        .clone()
        .map_err(|e| Error::Unsupported(format!("cannot catch an interrupt: {e}")))?;
    let shown = session.is_first();
    session.plugins().look_on(Onlooker {
        progress: Box::new(move |done, total, what| {
            if shown {
                show(done, total, what);
            }
        }),
        cancelled: Box::new(|| ASKED.load(Ordering::Relaxed)),
    });
    Ok(())
}

/// Sets something up, which an interrupt may end.
pub fn guarded<T>(setup: impl FnOnce() -> Result<T>) -> Result<T> {
    let shown = || SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *shown() = Some((Instant::now(), None));
    let before = SETTING_UP.swap(true, Ordering::Relaxed);
    let made = setup();
    SETTING_UP.store(before, Ordering::Relaxed);
    if let Some((_, Some(bar))) = shown().take() {
        bar.finish_and_clear();
    }
    made
}

/// Refuses to go on where any rank was asked to stop. Collective.
pub fn check(session: &Session) -> Result<()> {
    match session.comm().any(ASKED.load(Ordering::Relaxed))? {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
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
    bar.set_message(what.to_owned());
}
