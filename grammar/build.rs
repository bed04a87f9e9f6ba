//! Turns `src/grammar.lalrpop` into the parser's tables.

fn main() {
    let done = lalrpop::Configuration::new()
        .use_cargo_dir_conventions()
        .emit_rerun_directives(true)
        .process();
    if let Err(error) = done {
        eprintln!("grammar.lalrpop: {error}");
        std::process::exit(1);
    }
}
