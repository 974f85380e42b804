//! Memory of this process, as Linux counts it.

/// MB of a line of /proc/self/status.
fn megabytes(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
    kib.map_or(f64::NAN, |kib: f64| kib * 1024.0 / 1e6)
}

/// Starts a new peak; MB that are resident now.
pub fn begin() -> f64 {
    // Where that is not allowed the peak so far counts, too.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    megabytes("VmRSS:")
}

/// MB at the peak since [`begin`], which returned `before`.
pub fn since(before: f64) -> f64 {
    megabytes("VmHWM:") - before
}
