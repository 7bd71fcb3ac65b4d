//! What does a start do when a mechanism is missing or fails half-way? The plan is changed to bring that about.
use super::*;
use crate::host::HostFacts;
use crate::op::{Netlink, Subsystem};
use crate::running::{Reason, original_destination};
use crate::spec::{BoxSpec, Limits, Stdio, WorkspaceMode};
use std::io::Write;

fn plan(workspace: &std::path::Path, script: &str) -> Plan {
    let workspace = workspace.canonicalize().unwrap();
    let spec = BoxSpec {
        workspace_mode: WorkspaceMode::Overlay { size_bytes: 1 << 20, inodes: 100 },
        program: "/bin/bash".into(),
        argv: ["bash", "-c", script].map(Into::into).to_vec(),
        env: Vec::new(),
        cwd: workspace.clone(),
        workspace,
        home: "/home/agent".into(),
        readable: Vec::new(),
        synthetic: Vec::new(),
        sockets: Vec::new(),
        network: crate::spec::Reach::Captured,
        inner_boxes: false,
        keep_home: false,
        never_visible: Vec::new(),
        limits: Limits::ordinary(),
        user: "agent".into(),
        stdio: Stdio::piped(),
    };
    Plan::from_spec(&spec, &HostFacts::gather(&spec).unwrap()).unwrap()
}

#[test]
fn without_nf_tables_the_usual_ports_are_captured_and_the_report_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(
        directory.path(),
        "read -t 5 line < /dev/tcp/1.2.3.4/443 && [ $line = hello ] && ! : < /dev/tcp/1.2.3.4/444",
    );
    for op in &mut plan.ops {
        if let Op::Netlink(Netlink { to: Subsystem::Filter, message, .. }) = op {
            message.truncate(message.len() / 2);
        }
    }
    let mut running = spawn(&plan).unwrap();
    assert!(running.report.to_string().contains("no nf_tables"), "{}", running.report);
    let listener = running
        .capture
        .tcp
        .into_iter()
        .find(|listener| listener.local_addr().unwrap().to_string() == "0.0.0.0:443")
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(original_destination(&stream).unwrap().to_string(), "1.2.3.4:443");
    stream.write_all(b"hello\n").unwrap();
    assert_eq!(running.life.wait().unwrap().reason, Reason::Exited(0));
}

#[test]
fn an_act_that_fails_ends_the_start_and_is_named_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = plan(directory.path(), "true");
    let place = plan.ops.iter().position(|op| matches!(op, Op::SealRoot)).unwrap();
    plan.ops.insert(place, Op::Dir { path: c"no/such/parent".into(), mode: 0o755 });
    let error = spawn(&plan).unwrap_err();
    let SpawnError::Refused { mechanism, fault, .. } = &error else { panic!("{error}") };
    assert_eq!((*mechanism, fault.errno()), (Mechanism::Mounts, Some(libc::ENOENT)));
    assert!(fault.step().contains("no/such/parent"), "{error}");
}

#[test]
fn a_workspace_exchanged_after_planning_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (here, there) = (directory.path().join("here"), directory.path().join("there"));
    fs::create_dir(&here).unwrap();
    let plan = plan(&here, "true");
    fs::rename(&here, &there).unwrap();
    fs::create_dir(&here).unwrap();
    assert!(spawn(&plan).is_err());
    fs::remove_dir(&here).unwrap();
    std::os::unix::fs::symlink(&there, &here).unwrap();
    assert!(spawn(&plan).is_err());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "other tests of this process open descriptors too")]
fn many_starts_leave_no_descriptor_and_no_control_group() {
    const NAME: &str = "spawn::tests::many_starts_leave_no_descriptor_and_no_control_group";
    if std::env::var_os("ALONE").is_none() {
        let mut own = std::process::Command::new(std::env::current_exe().unwrap());
        let output = own.args(["--exact", NAME]).env("ALONE", "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    drop(spawn(&plan(directory.path(), "true")).unwrap());
    let before = descriptors();
    for _ in 0..5 {
        let mut running = spawn(&plan(directory.path(), "exit 3")).unwrap();
        assert_eq!(running.life.wait().unwrap().code(), 3);
    }
    assert_eq!(descriptors(), before);
    if let crate::linux::cgroup::Place::V1 { memory: Some(parent), .. } =
        plan(directory.path(), "true").cgroup
    {
        let own = format!("bartizan-{}-", std::process::id());
        let left = fs::read_dir(parent).unwrap().flatten();
        assert_eq!(
            left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)).count(),
            0
        );
    }
}
