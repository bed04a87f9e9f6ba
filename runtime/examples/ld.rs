use nettrace_compiler::pipeline::{self, Stage}; use nettrace_grammar::*; use nettrace_runtime::*;
fn main(){
 let k=match host::LiveKernel::open(){Ok(k)=>k,Err(d)=>{println!("{d:?}");return}};
 let mut bad=0; let mut n=0;
 for a in std::env::args().skip(1) {
  let texts: Vec<String> = if a.ends_with(".nt") { vec![std::fs::read_to_string(&a).unwrap()] } else { std::fs::read_to_string(&a).unwrap().split("\n---\n").map(String::from).collect() };
  for text in texts { n+=1;
   let mut map=SourceMap::new(); let f=map.add("s.nt",text.clone());
   let c=pipeline::compile(&map,f,&k,&Default::default());
   let show=render::render(&map,&c.diagnostics,false);
   let Some(art)=c.artifact else { println!("=== {text}\n{show}"); bad+=1; continue };
   match load::Loaded::load(&art.elf,&k,load::LoadOptions{verifier_log:true}) {
    Ok(_)=>{ }
    Err(d)=>{ bad+=1; let s=render::render(&map,&d,false); let l:Vec<&str>=s.lines().collect(); let from=l.len().saturating_sub(60); println!("=== {text}\n{}\n...\n{}",l[..from.min(12)].join("\n"),l[from..].join("\n"));
      println!("{}",pipeline::emit_stage(Stage::Asm,&map,f,&k,&Default::default()).0.unwrap_or_default()); }
   }
  }
 }
 println!("{n} scripts, {bad} bad");
}
