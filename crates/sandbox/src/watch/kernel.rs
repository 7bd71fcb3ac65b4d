//! Has the kernel taken more for a box than the machine can bear? Locks, queues, descriptors, rules, pipes and the like are memory of the
//! kernel's, which no file tells by process: what can be told is what the machine has that nobody's pages account for.
use std::fs;

/// What the machine has, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    total: u64,
    available: u64,
    /// Neither free, nor a program's, nor a file's, nor given back on demand.
    kernels: u64,
}

impl Memory {
    /// As it is now; nothing where the kernel does not tell.
    pub(super) fn look() -> Option<Self> {
        let arc = fs::read_to_string("/proc/spl/kstat/zfs/arcstats").unwrap_or_default();
        Self::read(&fs::read_to_string("/proc/meminfo").ok()?, &arc)
    }

    #[cfg(test)]
    pub(super) const fn in_kib(total: u64, available: u64, kernels: u64) -> Self {
        Self { total, available, kernels }
    }

    fn read(meminfo: &str, arcstats: &str) -> Option<Self> {
        let field = |name: &str| {
            let line =
                meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        let total = field("MemTotal")?;
        let others =
            ["MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "SReclaimable", "Hugetlb"];
        // What is swapped out may be in memory all the same, packed (zram, zswap); it is a program's.
        let swapped = field("SwapTotal").zip(field("SwapFree"));
        let swapped = swapped.map_or(0, |(all, free)| all.saturating_sub(free));
        // ZFS keeps its files elsewhere, and gives that back too.
        let arc = arcstats.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == "size").then_some(words.nth(1)?.parse::<u64>().ok()? / 1024)
        });
        let known = others.iter().filter_map(|name| field(name));
        let known = known.fold(arc.unwrap_or(0).saturating_add(swapped), u64::saturating_add);
        Some(Self {
            total,
            available: field("MemAvailable")?.saturating_add(arc.unwrap_or(0)),
            kernels: total.saturating_sub(known),
        })
    }

    /// Whether little is left, and much of what is gone the kernel has taken since `then`. Who it took it for nobody knows; as
    /// the next step is that the machine itself has none, a box that is not counted has to end.
    pub(super) fn is_taken_since(&self, then: &Self) -> bool {
        self.available < self.total / 16
            && self.kernels.saturating_sub(then.kernels) > self.total / 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(free: u64, anon: u64, cached: u64) -> Memory {
        let text = format!(
            "MemTotal:       16000 kB\nMemFree:         {free} kB\nMemAvailable:    {} kB\nBuffers:  100 kB\n\
             Cached:      {cached} kB\nSwapCached:            0 kB\nAnonPages:       {anon} kB\nSReclaimable:     200 kB\n",
            free + cached
        );
        Memory::read(&text, "").unwrap()
    }

    #[test]
    fn what_nobody_has_is_the_kernels() {
        let now = memory(9000, 5000, 700);
        assert_eq!(now, Memory { total: 16_000, available: 9700, kernels: 1000 });
        assert!(Memory::look().is_some_and(|now| now.kernels < now.total));
        assert_eq!(Memory::read("MemTotal: 5 kB\n", ""), None);
        assert_eq!(Memory::read("", ""), None);
    }

    #[test]
    fn only_what_the_kernel_took_in_a_machine_that_is_short_of_it_ends_a_box() {
        let then = memory(9000, 5000, 700);
        assert!(!then.is_taken_since(&then));
        assert!(!memory(4000, 5000, 700).is_taken_since(&then), "there is more");
        assert!(!memory(300, 13_700, 700).is_taken_since(&then), "programs have it");
        assert!(!memory(300, 5000, 9000).is_taken_since(&then), "files have it");
        assert!(memory(300, 5000, 500).is_taken_since(&then));
    }

    #[test]
    fn pages_that_are_swapped_into_memory_and_large_ones_are_not_the_kernels() {
        let meminfo = "MemTotal: 16000 kB\nMemFree: 300 kB\nMemAvailable: 400 kB\nSwapTotal: 8000 kB\nSwapFree: 3000 kB\nHugetlb: 4096 kB\n";
        assert_eq!(Memory::read(meminfo, "").unwrap().kernels, 16_000 - 300 - 5000 - 4096);
    }

    #[test]
    fn what_zfs_keeps_of_files_is_not_the_kernels() {
        let meminfo = "MemTotal: 16000 kB\nMemFree: 300 kB\nMemAvailable: 400 kB\n";
        let arc = "13 1 0x01 96 26112 1 2\nname type data\nhits 4 1\nsize 4 8192000\nc_max 4 1\n";
        let now = Memory::read(meminfo, arc).unwrap();
        assert_eq!(now, Memory { total: 16_000, available: 8400, kernels: 7700 });
    }
}
