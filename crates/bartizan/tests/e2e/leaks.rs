//! Where does the value of a secret, or the key of the session's CA, get to? Nowhere but into the memory of the process
//! that uses it: sought, while a run is under way and after it crashed, in every process and in every file.

use super::support::log::Log;
use super::support::project::{Project, Started};
use super::support::site::Site;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

/// What is sought, by name.
type Sought = Vec<(&'static str, Vec<u8>)>;

#[test]
fn a_value_in_use_is_in_no_other_process_no_file_and_no_core() {
    let project = Project::new();
    let site = Site::start(&project);
    let run = with_a_value_in_use(&project, &site);
    let ours = run.id();
    let mut sought = value();
    // As root we may look where the value is: the search below would find it, and the CA's key is sought by its bytes.
    if rustix::process::geteuid().is_root() {
        let memory = memory_of(ours);
        assert!(found(&sought, &memory).is_some(), "the search does not see what is there");
        sought.push(("the key of the CA", private_key(&memory).unwrap()));
    }
    let inside = descendants(ours);
    assert!(inside.len() >= 2, "a box has a reaper and a program: {inside:?}");
    for pid in inside {
        assert_eq!(found(&sought, &memory_of(pid)), None, "in the memory of {pid}");
    }
    for pid in processes() {
        for file in ["cmdline", "environ"] {
            let told = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            assert_eq!(found(&sought, &told), None, "in the {file} of {pid}");
        }
    }
    crash(&project, run);
    nowhere_in_files(&project, &sought);
    let records = project.bartizan(&["audit", "list", "--json"]).finish();
    assert_eq!(found(&sought, format!("{records:?}").as_bytes()), None);
}

/// It is aborted while it may leave cores of any size, and leaves none.
fn crash(project: &Project, run: Started) {
    let cores = Rlimit { current: Some(u64::MAX >> 1), maximum: Some(u64::MAX >> 1) };
    // An ordinary user may not raise what its parent has forbidden: then the limit stops the core as well.
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap());
    let _raised = rustix::process::prlimit(pid, Resource::Core, cores);
    run.signal(Signal::ABORT);
    let ran = run.finish();
    assert_eq!(ran.status.signal(), Some(Signal::ABORT.as_raw()), "{ran:?}");
    assert!(!ran.status.core_dumped(), "{ran:?}");
    assert_eq!(found(&value(), format!("{ran:?}").as_bytes()), None);
    let cores = fs::read_dir(project.workspace()).unwrap().map(|entry| entry.unwrap().file_name());
    let cores: Vec<_> = cores.filter(|name| name.to_string_lossy().contains("core")).collect();
    assert!(cores.is_empty(), "{cores:?}");
}

#[test]
fn memory_is_locked_where_it_may_be_and_the_log_says_whether() {
    let project = Project::new();
    let run = project.bartizan(&["run", "--", "bash", "-c", "echo inside; read line"]).typing();
    run.says("inside");
    let status = fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    let locked = locked.trim() != "0 kB";
    assert!(run.types("go\n").finish().status.success());
    let begun = Log::read(&project).find("session_start", |_| true);
    assert_eq!(begun["memory"], if locked { "locked" } else { "swappable" }, "{begun}");
    let capabilities = fs::read_to_string("/proc/self/status").unwrap();
    let effective = capabilities.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let may = u64::from_str_radix(effective.trim(), 16).unwrap() & CAP_IPC_LOCK != 0;
    if may && fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295") {
        assert!(locked, "CAP_IPC_LOCK allows it");
    }
}

#[test]
fn a_run_under_way_can_be_neither_dumped_nor_read_by_others_of_its_user() {
    let project = Project::new();
    let script = "echo inside; read line";
    let run = project.bartizan(&["run", "--", "bash", "-c", script]).typing();
    run.says("inside");
    let proc = PathBuf::from(format!("/proc/{}", run.id()));
    // The files of a process that cannot be dumped belong to root, whoever runs it.
    let owner = fs::metadata(proc.join("mem")).unwrap().uid();
    assert_eq!(owner, 0);
    if !rustix::process::geteuid().is_root() {
        assert!(fs::read(proc.join("environ")).is_err());
        assert!(fs::File::open(proc.join("mem")).is_err());
    }
    let ran = run.types("go\n").finish();
    assert!(ran.stdout.contains("inside"), "{ran:?}");
}

/// A run that has used a secret, and waits.
fn with_a_value_in_use(project: &Project, site: &Site) -> Started {
    let key = project.config().join("key-of-a-test");
    // No plain copy of it stands in a file of the project.
    fs::write(&key, format!("printf %s {} | rev\n", VALUE.chars().rev().collect::<String>()))
        .unwrap();
    let target = site.target();
    project.configure(&format!(
        "[roles.default]\nallow = [\"net({target})\"]\n[hosts.\"{target}\"]\nprivate = true\ntls = \"terminate\"\n\
         [secrets.plain]\nfrom = \"exec:///bin/sh {}\"\n\
         [[inject]]\nsecret = \"plain\"\nhost = \"{target}\"\nas = \"bearer\"\npath = \"/api\"\n",
        key.display()
    ));
    let script = format!("curl -sS https://{target}/api/user; echo; echo inside; read line");
    let run = project
        .bartizan(&["run", "--", "bash", "-c", &script])
        .env("SSL_CERT_FILE", &site.certificate())
        .typing();
    run.says("inside");
    run
}

/// The value in the forms that it would be written in.
fn value() -> Sought {
    let hex: String =
        VALUE.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).map(char::from).collect();
    vec![("the value", VALUE.into()), ("its base64", BASE64.into()), ("its hex", hex.into_bytes())]
}

fn found(sought: &Sought, text: &[u8]) -> Option<&'static str> {
    let holds = |what: &[u8]| text.windows(what.len()).any(|part| part == what);
    sought.iter().find(|(_, what)| holds(what)).map(|(name, _)| *name)
}

/// The 32 bytes of a P-256 key within its PKCS #8 form (RFC 5915, 5958), which our TLS library writes like this.
fn private_key(memory: &[u8]) -> Option<Vec<u8>> {
    const BEFORE: &[u8] = &[0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20];
    const AFTER: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00, 0x04];
    let whole = BEFORE.len() + 32 + AFTER.len();
    let fits = |part: &&[u8]| part.starts_with(BEFORE) && part.ends_with(AFTER);
    let part = memory.windows(whole).find(fits)?;
    Some(part[BEFORE.len()..BEFORE.len() + 32].to_vec())
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn descendants(of: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
    };
    let pairs: Vec<(u32, u32)> =
        processes().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut all = HashSet::from([of]);
    loop {
        let more = pairs.iter().filter(|(pid, parent)| all.contains(parent) && !all.contains(pid));
        let more: Vec<u32> = more.map(|(pid, _)| *pid).collect();
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    all.remove(&of);
    all.into_iter().collect()
}

/// What a process has written into its memory, as far as we may read it.
fn memory_of(pid: u32) -> Vec<u8> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let (Ok(maps), Ok(memory)) =
        (fs::read_to_string(proc.join("maps")), fs::File::open(proc.join("mem")))
    else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let at = |text| u64::from_str_radix(text, 16).unwrap();
        for page in (at(from)..at(to)).step_by(PAGE) {
            let mut bytes = [0; PAGE];
            if memory.read_exact_at(&mut bytes, page).is_ok() && bytes.iter().any(|byte| *byte != 0)
            {
                all.extend_from_slice(&bytes);
            }
        }
    }
    all
}

fn nowhere_in_files(project: &Project, sought: &Sought) {
    let mut folders = vec![project.home(), project.state(), project.config()];
    folders.extend(["/dev/shm"].map(PathBuf::from));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let held = fs::read(entry.path()).unwrap_or_default();
                assert_eq!(found(sought, &held), None, "in {}", show(&entry.path()));
            }
        }
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// No vendor's shape, and found nowhere else on the machine.
const VALUE: &str = "kestrel-Umber-4271-quarry-Fen";
const BASE64: &str = "a2VzdHJlbC1VbWJlci00MjcxLXF1YXJyeS1GZW";
const PAGE: usize = 4096;
const CAP_IPC_LOCK: u64 = 1 << 14;
