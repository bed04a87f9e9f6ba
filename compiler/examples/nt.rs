use nettrace_compiler::*;
use nettrace_grammar::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let stage = pipeline::Stage::ALL.iter().find(|s| s.0 == a[1]).unwrap().1;
    let v = &a[2];
    let text = std::fs::read_to_string(&a[3]).unwrap();
    let dir = "tests/kernels/";
    let rd = |s: &str| std::fs::read(format!("{dir}x86-{v}{s}")).unwrap();
    let mods = ["nf_conntrack", "nf_defrag_ipv4", "nf_nat", "nf_tables"]
        .iter()
        .map(|m| (m.to_string(), rd(&format!(".{m}.btf"))))
        .collect();
    let k = kernel::fixture::FixtureKernel::new(
        rd(".btf"),
        mods,
        &String::from_utf8(rd(".facts")).unwrap(),
    )
    .unwrap();
    let mut map = SourceMap::new();
    let f = map.add("s.nt", text);
    let (t, d) = pipeline::emit_stage(stage, &map, f, &k, &Default::default());
    print!("{}", render::render(&map, &d, false));
    if let Some(t) = t {
        print!("{t}")
    }
    let c = pipeline::compile(&map, f, &k, &Default::default());
    if let Some(x) = c.artifact {
        eprintln!("elf {} bytes", x.elf.len());
        if a.len() > 4 {
            eprintln!("{:#?}", x.plan)
        }
    }
}
