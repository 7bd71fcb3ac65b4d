//! Do the layers add up as promised? Whole configurations, from files to roles.

use super::places::{CONFIG_FILE, POLICY_DIR};
use super::*;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

pub(super) struct World {
    dir: TempDir,
    places: Places,
    workspace: PathBuf,
}

pub(super) fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for name in ["etc", "user", "home", "work"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    let places = Places {
        system: root.join("etc"),
        user: root.join("user"),
        user_is_given: false,
        state: root.join("state"),
        home: root.join("home"),
    };
    World { dir, places, workspace: root.join("work") }
}

impl World {
    fn system(&self, text: &str) -> &Self {
        fs::write(self.places.system.join(CONFIG_FILE), text).unwrap();
        self
    }

    pub(super) fn user(&self, text: &str) -> &Self {
        fs::write(self.places.user.join(CONFIG_FILE), text).unwrap();
        self
    }

    /// A project that somebody has trusted as it is.
    pub(super) fn project(&self, text: &str) -> &Self {
        let dir = self.workspace.join(".bartizan");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(CONFIG_FILE), text).unwrap();
        let digest = trust::read(&self.workspace).unwrap().unwrap().digest;
        trust::remember(&self.places, &self.workspace, &digest).unwrap();
        self
    }

    pub(super) fn load(&self) -> Config {
        load(&self.places, &self.workspace, Purpose::Run).unwrap()
    }

    pub(super) fn errors(&self) -> String {
        let failure = load(&self.places, &self.workspace, Purpose::Run).unwrap_err();
        assert_eq!(failure.code, exit::CONFIG);
        let text: String = failure.problems.iter().map(ToString::to_string).collect();
        text.replace(&self.dir.path().canonicalize().unwrap().display().to_string(), "ROOT")
    }
}

fn name(text: &str) -> RoleName {
    RoleName::parse(text).unwrap()
}

#[test]
fn with_nothing_configured_the_built_in_role_applies() {
    let config = world().load();
    assert_eq!(config.role(None).unwrap(), name("default"));
    assert!(config.rules.is_empty() && config.files.is_empty() && config.approvers.is_empty());
    assert_eq!(config.roles[&name("default")].enclosure, BoxSettings::default());
    assert!(config.policy(&Catalogue::builtin().unwrap()).is_ok());
}

#[test]
fn the_users_word_comes_after_the_machines_and_lists_add_up() {
    let world = world();
    world.system("[roles.a]\ndeny = [\"Bash\"]\n[roles.a.box]\nmemory = \"1GiB\"\npids = 100\nenv = [\"EDITOR\"]\n");
    world.user("[roles.a]\nallow = [\"Read\"]\n[roles.a.box]\nmemory = \"2GiB\"\nenv = [\"LANG\", \"EDITOR\"]\n");
    let config = world.load();
    let role = &config.roles[&name("a")].enclosure;
    assert_eq!((role.memory_bytes, role.pids), (2 << 30, 100));
    assert_eq!(role.env, ["LANG", "EDITOR"]);
    let places: Vec<_> = config.rules.iter().map(|rule| (rule.layer, rule.place.line)).collect();
    assert_eq!(places, [(Layer::System, 2), (Layer::User, 2)]);
    assert_eq!(config.role(None).unwrap(), name("a"));
}

#[test]
fn a_role_inherits_what_it_does_not_say_itself() {
    let world = world();
    world.user(
        "[roles.base]\n[roles.base.box]\npids = 50\nmemory = \"1GiB\"\nenv = [\"LANG\"]\n[roles.base.subagents]\nExplore = \"leaf\"\n\
         [roles.other.box]\nworkspace = \"read-only\"\npids = 60\n\
         [roles.leaf]\nextends = [\"base\", \"other\"]\n[roles.leaf.box]\nmemory = \"3GiB\"\nenv = [\"EDITOR\"]\n",
    );
    let config = world.load();
    let leaf = &config.roles[&name("leaf")];
    assert_eq!(leaf.parents, [name("base"), name("other")]);
    assert_eq!(leaf.subagents["Explore"], name("leaf"));
    let box_ = &leaf.enclosure;
    assert_eq!(
        (box_.pids, box_.memory_bytes, box_.workspace),
        (50, 3 << 30, WorkspaceMode::ReadOnly)
    );
    assert_eq!(box_.env, ["EDITOR", "LANG"]);
}

#[test]
fn a_role_says_how_it_sees_what_comes_from_outside() {
    use bartizan_scan::Form;
    let world = world();
    world.system("[roles.base.way_out]\nframe = \"json\"\n");
    world.user("[roles.coder]\nextends = [\"base\"]\n[roles.own]\nextends = [\"base\"]\n[roles.own.way_out]\nframe = \"marked\"\n");
    let config = world.load();
    let form = |role: &str| config.way_out_of(&name(role)).form();
    assert_eq!(form("default"), Form::Plain);
    assert_eq!((form("coder"), form("own")), (Form::Structured, Form::Marked));
    world.user("[roles.coder.way_out]\nframe = \"xml\"\n");
    assert!(world.errors().contains("write one of \"plain\", \"marked\", \"json\""));
    world.user("[roles.coder.way_out.sanitise]\nzero-width = \"note\"\nhtml-coment = \"show\"\nhtml-comment = \"hide\"\n");
    let errors = world.errors();
    for said in [
        "must not stay as it is",
        "did you mean `html-comment`",
        "write \"note\", \"show\" or \"remove\"",
    ] {
        assert!(errors.contains(said), "{errors}");
    }
    world.system(
        "[roles.base.way_out.sanitise]\nhtml-comment = \"remove\"\nzero-width = \"remove\"\n",
    );
    world.user("[roles.coder]\nextends = [\"base\"]\n[roles.coder.way_out.sanitise]\nhtml-comment = \"show\"\n");
    let sanitiser = world.load().way_out_of(&name("coder")).sanitiser();
    let clean = sanitiser.clean("a\u{200b}b <!-- x -->");
    assert_eq!(clean.text, "ab ⟨html-comment⟩ x ⟨html-comment ends⟩");
    world.user("");
    world.project("[roles.base.way_out]\nframe = \"plain\"\n");
    assert!(world.errors().contains("`way_out` has no place in it"));
}

#[test]
fn a_canary_is_read_and_a_misplaced_one_is_refused() {
    let world = world();
    world.user("[canaries.old]\nkind = \"npm\"\nfile = \"~/.config/old\"\nvariables = [\"OLD\"]\n");
    let canaries = world.load().canaries;
    let (name, canary) = canaries.first_key_value().unwrap();
    assert_eq!(
        (name.as_str(), canary.file.as_deref()),
        ("canary-old", Some(Path::new(".config/old")))
    );
    world.user("[canaries.a]\nfile = \"~/../x\"\n[canaries.b]\n[canaries.c]\nvariables = [\"PATH\"]\nkind = \"nmp\"\n");
    let errors = world.errors();
    for said in [
        "no place for a canary",
        "the canary `b` is nowhere",
        "`PATH`",
        "`nmp` is no kind of secret",
    ] {
        assert!(errors.contains(said), "{errors}");
    }
    world.user("");
    world.project("[canaries.old]\nvariables = [\"OLD\"]\n");
    assert!(world.errors().contains("`canaries` has no place in it"));
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    let world = world();
    world.user(
        "default_role = \"codr\"\n\
         [roles.coder]\nextends = [\"defualt\"]\nallow = [{ tool = \"Read\", quorum = 2 }, \"\"]\nask = [{ tool = \"Bash\", quorum = 9 }]\n\
         [roles.coder.box]\nworkspace = \"rw\"\nmemory = \"4G\"\npids = 1\nwall = \"forever\"\nreadable = [\"~/.ssh\"]\nenv = [\"GITHUB_TOKEN\"]\n\
         [roles.\"a b\"]\n\
         [roles.\"*\"]\nextends = [\"coder\"]\n\
         [model]\nupstream = \"http://example.com\"\ncredential = \"hunter2\"\nheader = \"cookie\"\n\
         [secrets.x]\nfrom = \"vault://x\"\n\
         [approvers]\npeople = [\"anna\"]\n\
         [hosts.\"10.0.0.1\"]\nprivate = true\n",
    );
    insta::assert_snapshot!(world.errors());
}

#[test]
fn mistakes_of_the_way_out_are_told_where_they_stand() {
    let world = world();
    world.user(
        "[secrets.gh]\nfrom = \"env://T\"\n\
         [[inject]]\nsecret = \"gh\"\nhost = \"a.example\"\nas = \"header:Host\"\nmethods = [\"get\"]\npath = \"/a/../b\"\n\
         [hosts.\"a.example:443\"]\ntls = \"maybe\"\nbytes_out = \"much\"\n\
         [egress]\nbytes_out = \"1\"\n",
    );
    insta::assert_snapshot!(world.errors());
    world.user(
        "[secrets.gh]\nfrom = \"env://T\"\n\
         [[inject]]\nsecret = \"hg\"\nhost = \"a.example:443\"\nas = \"bearer\"\n\
         [[inject]]\nsecret = \"gh\"\nhost = \"b.example:443\"\nas = \"bearer\"\n\
         [hosts.\"b.example:443\"]\ntls = \"passthrough\"\n",
    );
    insta::assert_snapshot!(world.errors());
}

#[test]
fn a_way_out_is_read_whole() {
    let world = world();
    world.user(
        "[secrets.gh]\nfrom = \"env://T\"\n\
         [[inject]]\nsecret = \"gh\"\nhost = \"api.example:443\"\nas = \"bearer\"\nmethods = [\"GET\"]\npath = \"/a\"\n\
         [hosts.\"api.example:443\"]\nrequests = 5\nbytes_out = \"1MiB\"\nmax_body = \"64KiB\"\n[egress]\nrequests = 9\nmax_body = \"2MiB\"\n",
    );
    let egress = world.load().egress;
    let (target, host) = egress.hosts.first_key_value().unwrap();
    assert_eq!(
        (target.to_string().as_str(), host.limits.bytes_out),
        ("api.example:443", Some(1 << 20))
    );
    let binding = &egress.injections[0].binding;
    assert!(
        binding.covers(true, target, "GET", "/a/b") && !binding.covers(true, target, "GET", "/ab")
    );
    assert!(
        !binding.covers(false, target, "GET", "/a") && !binding.covers(true, target, "PUT", "/a")
    );
    assert_eq!(egress.limits.requests, Some(9));
    assert_eq!((host.limits.body, egress.limits.body), (Some(64 << 10), Some(2 << 20)));
    // What passes unread has no bodies that could be measured.
    world.user("[hosts.\"a.example:443\"]\ntls = \"passthrough\"\nmax_body = \"1MiB\"\n");
    let said = world.errors();
    assert!(said.contains("passes unread") && said.contains("bytes_out"), "{said}");
}

#[test]
fn roles_that_do_not_exist_or_extend_each_other_are_refused() {
    let world = world();
    world.user(
        "default_role = \"b\"\n[roles.a]\nextends = [\"c\"]\n[roles.c]\nextends = [\"a\", \"defualt\"]\n[roles.a.subagents]\nExplore = \"redaer\"\n[roles.reader]\n",
    );
    insta::assert_snapshot!(world.errors());
}

#[test]
fn a_project_narrows() {
    let world = world();
    world.user("[roles.a]\nallow = [\"Read\"]\n[roles.a.box]\nenv = [\"LANG\", \"EDITOR\"]\n");
    world.project(
        "[roles.a]\nask = [\"Read(*.key)\"]\n[roles.\"*\"]\ndeny = [\"WebSearch\"]\n\
         [roles.a.box]\nworkspace = \"read-only\"\npids = 64\nenv = [\"LANG\"]\n[roles.\"*\".box]\nwall = \"1h\"\n",
    );
    let config = world.load();
    let role = &config.roles[&name("a")].enclosure;
    assert_eq!(
        (role.workspace, role.pids, role.wall.as_secs()),
        (WorkspaceMode::ReadOnly, 64, 3600)
    );
    assert_eq!(role.env, ["LANG"]);
    assert_eq!(config.roles[&name("default")].enclosure.wall.as_secs(), 3600);
    assert_eq!(config.rules.iter().filter(|rule| rule.layer == Layer::Project).count(), 2);
    assert!(config.policy(&Catalogue::builtin().unwrap()).is_ok());
}

#[test]
fn whatever_a_project_would_widen_is_an_error() {
    let world = world();
    world.user("[roles.coder]\nallow = [\"Read\"]\n");
    world.project(
        "default_role = \"coder\"\n\
         [roles.coder]\nextends = [\"default\"]\nallow = [\"Bash\"]\n[roles.coder.subagents]\nExplore = \"default\"\n\
         [roles.coder.box]\nworkspace = \"direct\"\nmemory = \"900GiB\"\nwall = \"2d\"\nreadable = [\"/opt\"]\nenv = [\"LANG\"]\n\
         [roles.codr]\ndeny = [\"Bash\"]\n\
         [model]\nupstream = \"https://evil.example\"\n\
         [secrets.x]\nfrom = \"env://HOME\"\n\
         [approvers]\npeople = [\"local:mallory\"]\n\
         [hosts.\"169.254.169.254:80\"]\nprivate = true\n\
         [[inject]]\nsecret = \"x\"\nhost = \"evil.example:443\"\nas = \"bearer\"\n\
         [egress]\nrequests = 1\n",
    );
    insta::assert_snapshot!(world.errors());
}

#[test]
fn a_role_has_the_box_that_it_describes_and_mistakes_name_their_line() {
    let world = world();
    world.user(
        "[roles.docs.box]\nfolder = \"docs/guide\"\nrest = \"read-only\"\ncpu = \"150%\"\noutput = \"1MiB\"\n\
         [roles.tests.box]\nnetwork = \"none\"\n[roles.child]\nextends = [\"tests\"]\n",
    );
    let config = world.load();
    let docs = &config.roles[&name("docs")].enclosure;
    assert_eq!(
        (docs.folder.as_deref(), docs.rest),
        (Some(Path::new("docs/guide")), Rest::ReadOnly)
    );
    assert_eq!((docs.cpu_percent, docs.output_bytes), (Some(150), Some(1 << 20)));
    assert_eq!(config.roles[&name("child")].enclosure.network, Network::None);
    let denied: Vec<_> =
        config.rules.iter().map(|rule| (rule.pattern.as_str(), rule.place.line)).collect();
    assert_eq!(denied, [("net.connect", 7), ("model.request", 7)]);
    world.user(
        "[roles.docs.box]\nfolder = \"../etc\"\nrest = \"writable\"\ncpu = \"2\"\noutput = \"1B\"\nnetwork = \"off\"\n\
         [roles.b.box]\nfolder = \".git\"\n[roles.c.box]\nfolder = \"/abs\"\n",
    );
    insta::assert_snapshot!(world.errors());
}

#[test]
fn a_project_narrows_folder_network_and_shares_and_widens_none() {
    let world = world();
    world.user(
        "[roles.a.box]\nfolder = \"docs\"\nrest = \"hidden\"\nnetwork = \"model\"\ncpu = \"100%\"\n[roles.b]\n",
    );
    world.project(
        "[roles.a.box]\nfolder = \"docs/api\"\nnetwork = \"none\"\ncpu = \"50%\"\n\
         [roles.\"*\".box]\noutput = \"1MiB\"\n[roles.b.box]\nfolder = \"src\"\nrest = \"read-only\"\n",
    );
    let config = world.load();
    let a = &config.roles[&name("a")].enclosure;
    assert_eq!((a.folder.as_deref(), a.network), (Some(Path::new("docs/api")), Network::None));
    assert_eq!((a.cpu_percent, a.output_bytes), (Some(50), Some(1 << 20)));
    assert!(
        config
            .rules
            .iter()
            .any(|rule| rule.layer == Layer::Project && rule.pattern == "model.request")
    );
    assert!(config.policy(&Catalogue::builtin().unwrap()).is_ok());
    let b = &config.roles[&name("b")].enclosure;
    assert_eq!((b.folder.as_deref(), b.rest), (Some(Path::new("src")), Rest::ReadOnly));
    world.project(
        "[roles.a.box]\nfolder = \"docsx\"\nrest = \"read-only\"\nnetwork = \"gated\"\ncpu = \"200%\"\n",
    );
    insta::assert_snapshot!(world.errors());
}

#[test]
fn a_permit_in_a_projects_cedar_is_refused_where_it_stands() {
    let world = world();
    let dir = world.workspace.join(".bartizan/policy");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("wide.cedar"), "// all\npermit (principal, action, resource);\n").unwrap();
    let digest = trust::read(&world.workspace).unwrap().unwrap().digest;
    trust::remember(&world.places, &world.workspace, &digest).unwrap();
    let failure = world.load().policy(&Catalogue::builtin().unwrap()).unwrap_err();
    let text: String = failure.problems.iter().map(ToString::to_string).collect();
    assert!(text.contains("wide.cedar:2:"), "{text}");
}

#[test]
fn an_untrusted_project_is_ignored_aloud_and_a_changed_one_is_refused() {
    let world = world();
    let dir = world.workspace.join(".bartizan");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(CONFIG_FILE), "[roles.\"*\"]\ndeny = [\"Bash\"]\n").unwrap();
    let config = world.load();
    assert!(config.rules.is_empty());
    assert!(config.warnings[0].to_string().contains("bartizan trust"));
    world.project("[roles.\"*\"]\ndeny = [\"Bash\"]\n");
    assert_eq!(world.load().rules.len(), 1);
    fs::write(dir.join(CONFIG_FILE), "[roles.\"*\"]\ndeny = []\n").unwrap();
    assert!(world.errors().contains("has changed since it was trusted"));
    fs::remove_dir_all(dir).unwrap();
    assert!(world.errors().contains("was trusted and is gone"));
}

#[test]
fn a_configuration_inside_the_workspace_is_never_obeyed() {
    let mut world = world();
    world.places.user = world.workspace.join("conf");
    fs::create_dir(&world.places.user).unwrap();
    world.user("");
    assert!(world.errors().contains("inside the workspace"));
    // Looking at it from where it stands is no harm.
    assert!(load(&world.places, &world.workspace, Purpose::Look).is_ok());
}

#[test]
fn a_state_directory_inside_the_workspace_is_refused_even_before_it_exists() {
    let mut world = world();
    world.places.state = world.workspace.join("a/b");
    assert!(world.errors().contains("the state directory"));
    world.places.state = world.workspace.join("../work/state");
    assert!(world.errors().contains("the state directory"));
    let link = world.places.home.join("link");
    std::os::unix::fs::symlink(&world.workspace, &link).unwrap();
    world.places.state = link.join("state");
    assert!(world.errors().contains("the state directory"));
}

#[test]
fn a_word_of_trust_that_others_could_have_written_does_not_count() {
    use std::os::unix::fs::PermissionsExt;
    let world = world();
    world.project("[roles.\"*\"]\ndeny = [\"Bash\"]\n");
    fs::set_permissions(&world.places.state, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(world.errors().contains("chmod go-w"));
}

#[test]
fn a_named_directory_that_is_not_there_is_an_error_and_a_default_one_is_not() {
    let mut world = world();
    world.places.user = world.places.user.join("none");
    assert!(world.load().files.is_empty());
    world.places.user_is_given = true;
    assert!(world.errors().contains("there is no directory"));
}

#[test]
fn a_role_that_is_not_there_is_refused_with_the_likely_one() {
    let world = world();
    world.user("[roles.coder]\n[roles.reader]\n");
    let config = world.load();
    assert!(config.role(None).unwrap_err().problems[0].to_string().contains("coder"));
    assert!(
        config.role(Some("raeder")).unwrap_err().problems[0]
            .to_string()
            .contains("did you mean `reader`?")
    );
    assert_eq!(config.role(Some("reader")).unwrap(), name("reader"));
    assert!(config.role(Some("../x")).is_err());
}

#[test]
fn the_starter_configuration_changes_nothing_and_all_of_it_is_valid_once_uncommented() {
    use crate::cmd::init::STARTER;
    let world = world();
    world.user(STARTER);
    let config = world.load();
    assert!(config.rules.is_empty());
    assert_eq!(config.role(None).unwrap(), name("default"));
    let uncommented: String = STARTER
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.is_empty() && !rest.starts_with(' '))
                .unwrap_or(line)
        })
        .collect::<Vec<_>>()
        .join("\n");
    world.user(&uncommented);
    let config = world.load();
    assert_eq!(
        config.roles[&name("default")].enclosure.memory_bytes,
        BoxSettings::default().memory_bytes
    );
    assert!(config.roles.contains_key(&name("reader")) && config.approvers.len() == 2);
    let policy = config.policy(&Catalogue::builtin().unwrap());
    assert!(policy.is_ok(), "{:?}", policy.err());
}

#[test]
fn the_starter_policy_is_valid_once_uncommented() {
    use crate::cmd::init::STARTER_POLICY;
    let world = world();
    let dir = world.places.user.join(POLICY_DIR);
    fs::create_dir(&dir).unwrap();
    let rule = STARTER_POLICY.lines().skip_while(|line| !line.contains("@id"));
    let rule: Vec<_> = rule.map(|line| line.trim_start_matches("// ")).collect();
    for text in [STARTER_POLICY.to_owned(), rule.join("\n")] {
        fs::write(dir.join("starter.cedar"), text).unwrap();
        let policy = world.load().policy(&Catalogue::builtin().unwrap());
        assert!(policy.is_ok(), "{:?}", policy.err());
    }
}
