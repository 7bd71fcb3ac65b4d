//! Does a plan for a known host read as expected, down to each act?
use super::*;
use crate::spec::{Stream, WindowSize};
use std::collections::BTreeMap;
use std::time::Duration;

fn fact(kind: Kind, canonical: &str) -> PathFact {
    PathFact {
        kind,
        canonical: canonical.into(),
        uid: 1001,
        gid: 1001,
        mode: 0o750,
        identity: (1, 2),
    }
}

/// A host with merged `/usr`, one toolchain reached by a symlink, and a socket.
fn host() -> HostFacts {
    let link =
        |target: &str| Kind::Link { target: target.into(), leads_to: Box::new(Kind::Directory) };
    let paths = [
        ("/usr", fact(Kind::Directory, "/usr")),
        ("/bin", fact(link("usr/bin"), "/usr/bin")),
        ("/lib64", fact(link("usr/lib64"), "/usr/lib64")),
        ("/etc/ssl/certs", fact(Kind::Directory, "/etc/ssl/certs")),
        (
            "/etc/ssl/certs/ca-certificates.crt",
            fact(Kind::File, "/etc/ssl/certs/ca-certificates.crt"),
        ),
        ("/etc/ld.so.cache", fact(Kind::File, "/etc/ld.so.cache")),
        ("/home/ada/project", fact(Kind::Directory, "/home/ada/project")),
        ("/home/ada/project/.bartizan", fact(Kind::Directory, "/home/ada/project/.bartizan")),
        ("/home/ada/.rustup", fact(Kind::Directory, "/home/ada/.rustup")),
        ("/home/ada/node", fact(link("/opt/node-22"), "/opt/node-22")),
        ("/opt/node-22", fact(Kind::Directory, "/opt/node-22")),
        ("/srv/api.sock", fact(Kind::Socket, "/srv/api.sock")),
        ("/proc/keys", fact(Kind::File, "/proc/keys")),
        ("/proc/bus", fact(Kind::Directory, "/proc/bus")),
    ];
    HostFacts {
        uid: 1001,
        gid: 1001,
        private_uid: None,
        ipv6: true,
        landlock_abi: 7,
        home: Some("/home/ada".into()),
        cgroup: Group::None("no control group is delegated to this user"),
        obstacle: None,
        paths: paths.map(|(path, fact)| (path.into(), fact)).into_iter().collect(),
        etc_files: BTreeMap::from([("/etc/os-release".into(), b"ID=test\n".to_vec())]),
        etc_trees: Vec::new(),
        obeyed: Vec::new(),
        inotify: [128, 200_000],
        mount_in_workspace: None,
        nonce: 7,
    }
}

fn spec() -> BoxSpec {
    let file = |path: &str, access| SyntheticFile {
        path: path.into(),
        contents: b"{}".to_vec(),
        mode: 0o644,
        access,
    };
    BoxSpec {
        workspace: "/home/ada/project".into(),
        workspace_mode: WorkspaceMode::Overlay { size_bytes: 1 << 30, inodes: 50_000 },
        program: "/bin/bash".into(),
        argv: vec!["bash".into()],
        env: vec![("TOKEN".into(), "value".into())],
        cwd: "/home/ada/project".into(),
        home: "/home/ada".into(),
        readable: ["/home/ada/.rustup", "/home/ada/node", "/home/ada/project/.bartizan", "/absent"]
            .map(PathBuf::from)
            .to_vec(),
        synthetic: vec![
            file("/etc/claude-code/managed-settings.json", Access::ReadOnly),
            file("/home/ada/.claude.json", Access::Writable),
            file("/etc/ssl/certs/ca-certificates.crt", Access::ReadOnly),
        ],
        sockets: vec![crate::spec::BoundSocket {
            host: "/srv/api.sock".into(),
            inside: "/tmp/api.sock".into(),
        }],
        network: Reach::Captured,
        inner_boxes: false,
        keep_home: false,
        never_visible: vec!["/home/ada/.local/state/bartizan".into()],
        limits: Limits { wall: Some(Duration::from_mins(10)), ..Limits::ordinary() },
        user: "ada".into(),
        stdio: Stdio {
            stdin: Stream::Pty,
            stdout: Stream::Piped,
            stderr: Stream::Pty,
            size: WindowSize { rows: 24, cols: 80 },
        },
    }
}

#[test]
fn the_plan_of_an_ordinary_users_box_reads_as_expected() {
    insta::assert_snapshot!(Plan::from_spec(&spec(), &host()).unwrap());
}

#[test]
fn roots_box_has_a_user_of_its_own_and_maps_only_what_shall_be_its_own() {
    let facts = HostFacts {
        uid: 0,
        gid: 0,
        private_uid: Some(0x7000_0007),
        ipv6: false,
        landlock_abi: 0,
        ..host()
    };
    let own = Plan::from_spec(&spec(), &facts).unwrap().to_string();
    let ordinary = Plan::from_spec(&spec(), &host()).unwrap().to_string();
    let differing: Vec<_> =
        own.lines().filter(|line| !ordinary.lines().any(|other| other == *line)).collect();
    insta::assert_snapshot!(differing.join("\n"));
}

#[test]
fn what_tools_obey_in_a_direct_workspace_is_a_mount_of_its_own() {
    let path = |name: &str| PathBuf::from(format!("/home/ada/project/{name}"));
    let mut facts = host();
    for (name, kind) in [(".git", Kind::Directory), (".mcp.json", Kind::File)] {
        let at = path(name);
        facts.paths.insert(at.clone(), fact(kind, at.to_str().unwrap()));
        facts.obeyed.push(at);
    }
    let spec = BoxSpec { workspace_mode: WorkspaceMode::Direct, ..spec() };
    let text = |facts: &HostFacts| Plan::from_spec(&spec, facts).unwrap().to_string();
    let (with, without) = (text(&facts), text(&host()));
    let added: Vec<_> =
        with.lines().filter(|line| !without.lines().any(|other| other == *line)).collect();
    insta::assert_snapshot!(added.join("\n"));
    // Within another box the gate of that one judges, and what it shows may have been moved already.
    let within = Plan::within(&spec, &facts, 512).unwrap().to_string();
    assert!(!within.contains(".git"), "{within}");
}

#[test]
fn a_direct_workspace_has_no_layer() {
    let text =
        Plan::from_spec(&BoxSpec { workspace_mode: WorkspaceMode::Direct, ..spec() }, &host())
            .unwrap()
            .to_string();
    assert!(!text.contains("overlay") && !text.contains("upper"), "{text}");
    assert!(text.contains("bind /home/ada/project -> /home/ada/project nosuid nodev\n"), "{text}");
}

#[test]
fn a_box_without_network_has_loopback_and_no_socket_of_ours() {
    let text = Plan::from_spec(&BoxSpec { network: Reach::Loopback, ..spec() }, &host())
        .unwrap()
        .to_string();
    assert!(!text.contains("listen ") && !text.contains("local ("), "{text}");
    assert_eq!(text.matches("loopback up, and nothing else").count(), 1, "{text}");
}

#[test]
fn a_box_within_another_looks_every_path_up_there_and_adds_no_layer() {
    let facts = HostFacts { private_uid: Some(0x7000_0007), uid: 0, gid: 0, ..host() };
    let outer = BoxSpec { inner_boxes: true, ..spec() };
    let text = Plan::from_spec(&outer, &facts).unwrap().to_string();
    assert_eq!(text.matches("hold the user and mount namespaces").count(), 1, "{text}");
    let plan = Plan::within(&outer, &facts, 512).unwrap();
    let text = plan.to_string();
    for absent in ["overlay", "hold ", "idmap", "become user 1000, group 1000\n"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
    assert!(text.contains("become user 1000, group 1000 of the box around\n"), "{text}");
    assert!(text.contains("bind /home/ada/project -> /home/ada/project nosuid nodev\n"), "{text}");
    let of_the_host = plan.ops.iter().any(|op| match op {
        Op::Bind(Bind { source: Source::Host { identity, owner, .. }, .. }) => {
            identity.is_some() || owner.is_some()
        }
        _ => false,
    });
    assert!(!of_the_host && plan.private_uid.is_none());
}

#[test]
fn a_mount_in_the_workspace_is_refused_for_an_overlay_only() {
    let facts = HostFacts { mount_in_workspace: Some("/home/ada/project/mnt".into()), ..host() };
    let error = Plan::from_spec(&spec(), &facts).unwrap_err().to_string();
    assert!(error.contains("/home/ada/project/mnt") && error.contains("--direct"), "{error}");
    assert!(
        Plan::from_spec(&BoxSpec { workspace_mode: WorkspaceMode::Direct, ..spec() }, &facts)
            .is_ok()
    );
}

#[test]
fn the_walls_are_raised_in_an_order_that_cannot_be_climbed() {
    let plan = Plan::from_spec(&spec(), &host()).unwrap();
    let at = |which: fn(&Op) -> bool| plan.ops.iter().position(which).unwrap();
    let pivot = at(|op| matches!(op, Op::Pivot));
    let privileges = at(|op| matches!(op, Op::NoNewPrivileges));
    let landlock = at(|op| matches!(op, Op::Landlock { .. }));
    let capabilities = at(|op| matches!(op, Op::DropCapabilities));
    assert!(pivot < privileges && privileges < landlock && landlock < capabilities);
    assert!(matches!(plan.ops.last(), Some(Op::Filter(_))), "seccomp is last");
    let every_bind_is_nosuid = plan.ops.iter().all(|op| match op {
        Op::Bind(bind) => bind.attributes & crate::op::NOSUID != 0,
        _ => true,
    });
    assert!(every_bind_is_nosuid);
}
