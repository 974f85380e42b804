//! How many threads were asked for, before any of them starts.
use precondor_core::{Error, Result};

/// The variable that says so.
const ASKED: &str = "RAYON_NUM_THREADS";
/// More than this for each hardware thread is a slip of the pen.
const EACH: usize = 64;

/// Refuses a number of threads that no machine would start, and what is none.
pub fn check() -> Result<()> {
    let Some(text) = std::env::var_os(ASKED) else { return Ok(()) };
    let here = std::thread::available_parallelism().map_or(1, usize::from);
    fault(&text.to_string_lossy(), here).map_or(Ok(()), |why| Err(Error::Parameter(why)))
}

fn fault(text: &str, here: usize) -> Option<String> {
    let most = EACH * here;
    match text.trim().parse::<usize>() {
        Ok(asked) if asked <= most => None,
        Ok(asked) => Some(format!(
            "{ASKED}={asked}: this process may run on {here} hardware threads; ask for {most} at most"
        )),
        Err(_) if text.trim().is_empty() => None,
        Err(_) => Some(format!("{ASKED}={text}: this is no number of threads")),
    }
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn numbers_that_no_machine_would_start_are_refused() {
        for text in ["", "0", "1", "128"] {
            assert_eq!(fault(text, 2), None, "{text}");
        }
        assert!(
            fault("129", 2).unwrap().contains("129: this process may run on 2 hardware threads")
        );
        for text in ["99999999999999999999", "-1", "two"] {
            assert!(fault(text, 2).unwrap().contains("no number of threads"), "{text}");
        }
    }
}
