//! Which boxes are refused before anything is started, and does the same specification always give the same plan?
#![expect(clippy::unwrap_used, reason = "a test may stop, and plays what is outside the box")]
mod support;
use bartizan_sandbox::{
    Access, Backend, BoundSocket, BoxSpec, HostFacts, HostKernel, Plan, Running, SpawnError,
    SyntheticFile,
};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use support::{HOME, Place, plan};

fn refusal(spec: &BoxSpec) -> String {
    HostFacts::gather(spec).and_then(|facts| Plan::from_spec(spec, &facts)).unwrap_err().to_string()
}

fn workspace(spec: &BoxSpec, path: &Path) -> BoxSpec {
    BoxSpec { workspace: path.into(), cwd: path.into(), ..spec.clone() }
}

for_everyone! {
    fn a_workspace_that_cannot_be_boxed_is_refused_with_a_remedy() {
        let place = Place::new();
        let spec = place.spec("true");
        std::os::unix::fs::symlink(&place.workspace, place.path("link")).unwrap();
        std::fs::create_dir(place.workspace.join("sub")).unwrap();
        std::fs::create_dir_all(place.path("state/inner")).unwrap();
        for (path, why) in [
            (place.path("absent"), "does not exist"),
            (place.path("link"), "symlink"),
            (place.path("link/sub"), "symlink"),
            (place.workspace.join("readme.txt"), "not a directory"),
            ("/".into(), "whole file system"),
            ("/usr".into(), "system"),
            ("/usr/share".into(), "system"),
            ("/etc".into(), "system"),
            ("/proc/self".into(), ""),
            ("/tmp".into(), ""),
            (place.path("state"), "no box may see"),
            (place.path("state/inner"), "no box may see"),
            (place.path(""), "no box may see"),
        ] {
            let error = refusal(&workspace(&spec, &path));
            assert!(error.contains(why) && error.contains("hint: "), "{}: {error}", path.display());
        }
        let mut home = spec.clone();
        home.home.clone_from(&home.workspace);
        assert!(refusal(&home).contains("home directory"));
        home.home = home.workspace.join("deep/home");
        assert!(refusal(&home).contains("home directory"));
    }

    fn odd_paths_are_refused_before_anything_looks_at_them() {
        let place = Place::new();
        let spec = place.spec("true");
        for odd in ["relative", "./x", "/a/../b", "/a/./b/..", "", "/nul\0byte"] {
            let path = PathBuf::from(odd);
            for bad in [
                workspace(&spec, &path),
                BoxSpec { program: path.clone(), ..spec.clone() },
                BoxSpec { home: path.clone(), ..spec.clone() },
                BoxSpec { readable: vec![path.clone()], ..spec.clone() },
            ] {
                assert!(HostFacts::gather(&bad).and_then(|facts| Plan::from_spec(&bad, &facts)).is_err(), "{odd:?}");
            }
        }
        let outside = BoxSpec { cwd: "/usr".into(), ..spec.clone() };
        assert!(refusal(&outside).contains("outside the workspace"));
        let forged = BoxSpec { home: "/home/x:0:0\nroot".into(), ..spec.clone() };
        assert!(refusal(&forged).contains("home directory"));
        for user in ["", "Root", "a:b", "x\ny", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(refusal(&BoxSpec { user: user.into(), ..spec.clone() }).contains("user name"));
        }
        let nul = std::ffi::OsString::from_vec(b"a\0b".to_vec());
        assert!(refusal(&BoxSpec { argv: vec![nul.clone()], ..spec.clone() }).contains("argument"));
        let error = refusal(&BoxSpec { env: vec![("TOKEN".into(), nul)], ..spec.clone() });
        assert!(error.contains("TOKEN") && !error.contains("a\0b"), "{error}");
    }

    fn nothing_is_shown_that_no_box_may_see() {
        let place = Place::new();
        std::fs::create_dir_all(place.path("state/audit")).unwrap();
        std::os::unix::fs::symlink(place.path("state"), place.path("alias")).unwrap();
        for readable in [place.path("state"), place.path("state/audit"), place.path(""), place.path("alias"), "/".into(), "/etc".into(), "/run".into()] {
            let spec = BoxSpec { readable: vec![readable.clone()], ..place.spec("true") };
            assert!(refusal(&spec).contains("would show"), "{}", readable.display());
        }
    }

    fn nothing_is_placed_where_the_box_has_no_room() {
        let place = Place::new();
        for (path, access) in [
            ("/usr/lib/new-file", Access::ReadOnly),
            ("/proc/x", Access::ReadOnly),
            ("/dev/x", Access::ReadOnly),
            ("/bin/x", Access::ReadOnly),
            ("/etc/x", Access::Writable),
            ("/", Access::ReadOnly),
        ] {
            let file = SyntheticFile { path: path.into(), contents: Vec::new(), mode: 0o644, access };
            let spec = BoxSpec { synthetic: vec![file], ..place.spec("true") };
            assert!(refusal(&spec).contains("cannot be placed"), "{path}");
        }
        let file = SyntheticFile { path: place.workspace.join("x"), contents: Vec::new(), mode: 0o644, access: Access::ReadOnly };
        assert!(refusal(&BoxSpec { synthetic: vec![file], ..place.spec("true") }).contains("workspace"));
        let socket = BoundSocket { host: place.workspace.join("readme.txt"), inside: "/tmp/s".into() };
        let planned = plan(&BoxSpec { sockets: vec![socket], ..place.spec("true") });
        assert!(!planned.to_string().contains("/tmp/s"), "a plain file is not bound as a socket");
    }

    fn a_program_outside_the_view_is_named() {
        let place = Place::new();
        let spec = BoxSpec { program: place.path("tool"), ..place.spec("true") };
        assert!(refusal(&spec).contains("would not exist in the box"));
    }

    fn the_same_specification_and_facts_give_the_same_plan() {
        let place = Place::new();
        let spec = place.spec("true");
        let facts = HostFacts::gather(&spec).unwrap();
        let text = || Plan::from_spec(&spec, &facts).unwrap().to_string();
        assert_eq!(text(), text());
    }
}

/// A stand-in for a stronger box: it is given the plan and nothing else, and lets the host's kernel do the work.
#[derive(Debug, Default)]
struct Stronger(std::sync::Mutex<String>);

impl Backend for Stronger {
    fn name(&self) -> &'static str {
        "stand-in"
    }

    fn start(&self, plan: &Plan) -> Result<Running, SpawnError> {
        *self.0.lock().unwrap() = plan.to_string();
        HostKernel.start(plan)
    }
}

#[test]
fn another_backend_is_given_the_whole_plan() {
    let place = Place::new();
    let plan = plan(&place.spec("cat readme.txt"));
    let stronger = Stronger::default();
    let backend: &dyn Backend = &stronger;
    let mut running = backend.start(&plan).unwrap();
    assert_eq!(support::drain(&mut running).succeeded().stdout, "hello from the host\n");
    let told = stronger.0.lock().unwrap().clone();
    for part in
        [&*format!("overlay {} ", place.workspace.display()), "limit processes", "seccomp, "]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_workspace_of_another_user_is_refused_to_an_ordinary_user() {
    if rustix::process::geteuid().is_root() {
        return support::as_ordinary("a_workspace_of_another_user_is_refused_to_an_ordinary_user");
    }
    let spec = workspace(&Place::new().spec("true"), Path::new("/opt"));
    assert!(refusal(&spec).contains("another user"), "{}", refusal(&spec));
}

#[test]
fn neither_plan_nor_specification_shows_a_value_or_contents() {
    let place = Place::new();
    let mut spec = place.spec("true");
    spec.env.push(("API_KEY".into(), "sk-TOP-SECRET".into()));
    spec.synthetic.push(SyntheticFile {
        path: format!("{HOME}/.token").into(),
        contents: b"sk-TOP-SECRET".to_vec(),
        mode: 0o600,
        access: Access::Writable,
    });
    let bytes = format!("{:?}", b"TOP-SECRET").trim_matches(['[', ']']).to_owned();
    for shown in [
        format!("{}", plan(&spec)),
        format!("{:?}", plan(&spec)),
        format!("{spec:?}"),
        format!("{spec:#?}"),
    ] {
        assert!(!shown.contains("TOP-SECRET") && !shown.contains(&bytes), "{shown}");
    }
}
