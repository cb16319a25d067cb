//! What the kernel counts of this process.

use std::fs;
use std::time::Duration;

/// What `getconf CLK_TCK` says on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

/// The processor time of all threads so far. Exact to 10 ms.
pub fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // Fields are counted from behind the name, which can hold anything; utime and stime are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |field: usize| fields[field - 3].parse::<f64>().unwrap();
    Duration::from_secs_f64((ticks(14) + ticks(15)) / TICKS_PER_SECOND)
}

/// Bytes of memory that the process has, those of mapped files left out.
pub fn memory() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let mut fields = statm.split_whitespace().map(|field| field.parse::<u64>().unwrap());
    let (resident, shared) = (fields.nth(1).unwrap(), fields.next().unwrap());
    (resident - shared) * PAGE_BYTES
}
