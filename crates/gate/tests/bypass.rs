//! Do the bypasses of the gate compile? None may.

#[test]
fn no_way_round_the_gate_compiles() {
    trybuild::TestCases::new().compile_fail("tests/bypass/*.rs");
}
