//! A library in a process of its own: one that crashes, hangs or prints does it there.
//!
//! The child is the program itself, called with words that it knows. It tells its steps ([`tell`]) and its
//! answer ([`answer`]) on lines of its standard output that begin with a mark; everything else there is
//! what the library prints.
use precondor_core::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// What a line of ours begins with.
const MARK: &[u8] = b"\x1eprecondor ";
/// Bytes of a line, at most.
const LONGEST: u64 = 1 << 26;
/// Bytes that are kept of what a library prints.
const KEPT: usize = 200;
/// How often the child is looked after.
const TICK: Duration = Duration::from_millis(10);
/// How long outputs are read after the child has ended, where they do not.
const GRACE: Duration = Duration::from_secs(10);

/// What a child process is at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// The library is loaded, its initialisers run.
    Load,
    /// This method says what it is.
    Describe(String),
    /// This method is set up.
    Generate(String),
    /// What this method set up is applied.
    Apply(String),
    /// All is done, and the process ends.
    End,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Load => write!(f, "while it is loaded"),
            Step::Describe(name) => write!(f, "in 'describe' of '{name}'"),
            Step::Generate(name) => write!(f, "in 'generate' of '{name}'"),
            Step::Apply(name) => write!(f, "in 'apply' of '{name}'"),
            Step::End => write!(f, "when its process ends"),
        }
    }
}

/// What came of asking a child.
#[derive(Debug)]
pub struct Asked<T> {
    /// Its answer.
    pub answer: T,
    /// What the library printed first.
    pub printed: Option<Printed>,
}

/// What a library printed to standard output.
#[derive(Debug, PartialEq)]
pub struct Printed {
    /// When. Text that the library had its C library keep comes at the end.
    pub step: Step,
    /// Its beginning, as it is: foreign text.
    pub text: String,
}

/// The child's side: says what comes next.
pub fn tell(step: Step) {
    say(&Line::<()>::Step(step));
}

/// The child's side: says what the parent asked for.
pub fn answer<T: Serialize>(answer: &std::result::Result<T, String>) {
    say(&Line::Answer(answer));
    tell(Step::End);
}

#[derive(Serialize, Deserialize)]
enum Line<T> {
    Step(Step),
    Answer(T),
}

/// The child's side: writes a line that the parent reads with [`heard`].
pub fn say(line: &impl Serialize) {
    let mut out = std::io::stdout().lock();
    // The parent that does not hear of it says that the process ended without an answer. The library may
    // have left a line unfinished.
    if let Ok(text) = serde_json::to_string(line) {
        let text = [b"\n", MARK, text.as_bytes(), b"\n"].concat();
        let _ = out.write_all(&text).and_then(|()| out.flush());
    }
}

/// The parent's side: what [`say`] wrote, where a line of standard output is such a one.
pub fn heard<T: DeserializeOwned>(line: &[u8]) -> Option<serde_json::Result<T>> {
    line.strip_prefix(MARK).map(serde_json::from_slice)
}

/// Starts `command`, which looks at the library at `path`, and returns its answer.
///
/// # Errors
/// [`Error::Plugin`] with what the child says, and where it crashes, ends without an answer, or takes
/// longer than `limit` for a step: the message says in which.
pub fn ask<T: DeserializeOwned>(
    command: &mut Command,
    path: &Path,
    limit: Duration,
) -> Result<Asked<T>> {
    let refuse = |why: String| Error::Plugin(format!("{}: {why}", path.display()));
    let failed = |e: std::io::Error| refuse(format!("it could not be looked at: {e}"));
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let lines = Lines::of(&mut child);
    let mut heard = Heard { step: Step::Load, since: Instant::now(), answer: None, printed: None };
    let mut last_words = String::new();
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let status = loop {
        let next = lines.next();
        match &next {
            Next::Line(Pipe::Out, line) => heard.line(line),
            Next::Line(Pipe::Error, line) => last_words = beginning(line),
            Next::Quiet | Next::Closed if ended.is_none() => {
                ended = child.try_wait().map_err(failed)?.map(|status| (status, Instant::now()));
            }
            Next::Quiet | Next::Closed => {}
        }
        // All that it wrote is to be read, unless a process that it started keeps its outputs open.
        if let Some((status, since)) = ended
            && (matches!(next, Next::Closed) || since.elapsed() > GRACE)
        {
            break status;
        }
        if ended.is_none() && heard.since.elapsed() > limit {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            let (seconds, step) = (limit.as_secs_f64(), &heard.step);
            return Err(refuse(format!("it hangs {step}, and was ended after {seconds} s")));
        }
    };
    let step = &heard.step;
    if let Some(signal) = signal(status) {
        return Err(refuse(format!("it crashes {step} (signal {signal})")));
    }
    let Some(answer) = heard.answer else {
        let words = if last_words.is_empty() { String::new() } else { format!("; {last_words}") };
        return Err(refuse(format!("it ends the process {step} ({status}{words})")));
    };
    let answer: std::result::Result<T, String> = serde_json::from_value(answer)
        .map_err(|e| refuse(format!("its answer is not understood: {e}")))?;
    let prefix = format!("{}: ", path.display());
    let answer = answer.map_err(|why| refuse(why.strip_prefix(&prefix).unwrap_or(&why).into()))?;
    Ok(Asked { answer, printed: heard.printed })
}

/// What a child has said so far.
struct Heard {
    step: Step,
    since: Instant,
    answer: Option<serde_json::Value>,
    printed: Option<Printed>,
}

impl Heard {
    fn line(&mut self, line: &[u8]) {
        match heard(line) {
            Some(Ok(Line::Step(step))) => (self.step, self.since) = (step, Instant::now()),
            Some(Ok(Line::Answer(answer))) => self.answer = Some(answer),
            _ if line.is_empty() || self.printed.is_some() => {}
            _ => self.printed = Some(Printed { step: self.step.clone(), text: beginning(line) }),
        }
    }
}

/// The beginning of a line of foreign text.
fn beginning(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(KEPT)]).trim().to_owned()
}

/// An output of a child.
#[derive(Clone, Copy)]
pub enum Pipe {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// What comes next from a child.
pub enum Next {
    /// A line, without its end.
    Line(Pipe, Vec<u8>),
    /// Nothing for now.
    Quiet,
    /// The outputs are closed.
    Closed,
}

/// Lines of the outputs of a child that are piped. Few wait in between, so that one that prints for ever is held up.
pub struct Lines(Receiver<(Pipe, Vec<u8>)>);

impl Lines {
    /// Of this child.
    pub fn of(child: &mut Child) -> Lines {
        let (send, lines) = sync_channel(16);
        if let Some(out) = child.stdout.take() {
            read(Pipe::Out, out, send.clone());
        }
        if let Some(err) = child.stderr.take() {
            read(Pipe::Error, err, send);
        }
        Lines(lines)
    }

    /// Waits for a moment at most.
    pub fn next(&self) -> Next {
        match self.0.recv_timeout(TICK) {
            Ok((pipe, line)) => Next::Line(pipe, line),
            Err(RecvTimeoutError::Timeout) => Next::Quiet,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(TICK);
                Next::Closed
            }
        }
    }
}

/// Reads lines on a thread, which ends with the pipe, or when nobody listens any more.
fn read(pipe: Pipe, from: impl Read + Send + 'static, to: SyncSender<(Pipe, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        loop {
            let mut line = Vec::new();
            let read = (&mut from).take(LONGEST).read_until(b'\n', &mut line);
            if !read.is_ok_and(|n| n > 0) {
                return;
            }
            line.pop_if(|last| *last == b'\n');
            if to.send((pipe, line)).is_err() {
                return;
            }
        }
    });
}

/// The signal that ended a process, if any.
#[cfg(unix)]
pub fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// The signal that ended a process, if any.
#[cfg(not(unix))]
pub fn signal(_: ExitStatus) -> Option<i32> {
    None
}
