//! Does a box begin, work and end as it should?
mod support;
use support::Place;

for_everyone! {
    fn a_program_runs_and_its_output_and_exit_code_arrive() {
        let place = Place::new();
        let outcome = place.run("cat readme.txt; echo oops >&2; id -u; pwd; exit 7");
        assert!(outcome.stdout.starts_with("hello from the host\n"), "{outcome:#?}");
        assert_eq!(outcome.stderr, "oops\n");
        assert_eq!(outcome.exit.code(), 7);
    }
}
