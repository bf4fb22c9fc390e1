//! A thousand identities at once, and what the pods took: less than the chart lets them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cluster::{IDENTITIES, apply, identity, leader, nothing_twice_or_lost, process_of, ready_pods};
use crate::shell::{Result, kubectl};
use crate::story::Story;

const MANY: usize = 1000;
/// On two cores that kubelet, API server and Kratos share.
const DONE_WITHIN: Duration = Duration::from_mins(4);

pub fn all(story: Story) -> Result<()> {
    let figures = story.step(&format!("{MANY} identities become Ready, within the chart's limits"), many)?;
    println!("           {figures}");
    Ok(())
}

fn many() -> Result<String> {
    let pod = leader()?;
    let cgroup = cgroup_of(process_of(&pod)?)?;
    let cpu_before = cpu_seconds(&cgroup)?;
    let begin = Instant::now();
    let manifests: Vec<_> = (0..MANY).map(|number| identity(&format!("many-{number:04}"))).collect();
    apply(&manifests.join("---\n"))?;
    let applied = begin.elapsed().as_secs_f64();
    // All the others, too. It watches: who lists a thousand again and again takes the time that they need.
    let within = DONE_WITHIN.as_secs();
    kubectl(&format!("wait kid --all -n {IDENTITIES} --for=condition=Ready --timeout={within}s"))?;
    let took = begin.elapsed().as_secs_f64();
    nothing_twice_or_lost()?;

    let pods = ready_pods(2)?;
    if let Some(again) = pods.iter().find(|other| other.uid == pod.uid && other.restarts != pod.restarts) {
        return Err(format!("the leading pod was started again: {}", again.last_end).into());
    }
    let (peak, limit) = (peak_memory(&cgroup)?, memory_limit(&cgroup)?);
    if peak * 4 > limit * 3 {
        return Err(
            format!("the pod took {} MiB of {}: too near to its limit", mebibytes(peak), mebibytes(limit)).into()
        );
    }
    let cpu = cpu_seconds(&cgroup)? - cpu_before;
    Ok(format!(
        "{took:.0} s, of which kubectl took {applied:.0} s to apply them; {cpu:.1} s of CPU time, at most {} MiB of the {} that the chart allows",
        mebibytes(peak),
        mebibytes(limit)
    ))
}

fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

/// The folders of a container's cgroup: for memory and for CPU time. Under v2 they are one.
struct Cgroup {
    memory: PathBuf,
    cpu: PathBuf,
    is_v2: bool,
}

fn cgroup_of(process: u32) -> Result<Cgroup> {
    let text = fs::read_to_string(format!("/proc/{process}/cgroup"))?;
    // `NUMBER:CONTROLLERS:PATH`
    let path = |controller: &str| {
        text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            controllers.split(',').any(|name| name == controller).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let root = PathBuf::from("/sys/fs/cgroup");
    if let (Some(memory), Some(cpu)) = (path("memory"), path("cpuacct")) {
        return Ok(Cgroup {
            memory: root.join("memory").join(memory),
            cpu: root.join("cpuacct").join(cpu),
            is_v2: false,
        });
    }
    let all = root.join(path("").ok_or("no cgroup")?);
    Ok(Cgroup { memory: all.clone(), cpu: all, is_v2: true })
}

fn number(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim().parse()?)
}

fn peak_memory(cgroup: &Cgroup) -> Result<u64> {
    number(&cgroup.memory.join(if cgroup.is_v2 { "memory.peak" } else { "memory.max_usage_in_bytes" }))
}

fn memory_limit(cgroup: &Cgroup) -> Result<u64> {
    number(&cgroup.memory.join(if cgroup.is_v2 { "memory.max" } else { "memory.limit_in_bytes" }))
}

fn cpu_seconds(cgroup: &Cgroup) -> Result<f64> {
    let nanoseconds = if cgroup.is_v2 {
        let text = fs::read_to_string(cgroup.cpu.join("cpu.stat"))?;
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).ok_or("no usage_usec")?;
        used.trim().parse::<u64>()? * 1000
    } else {
        number(&cgroup.cpu.join("cpuacct.usage"))?
    };
    Ok(Duration::from_nanos(nanoseconds).as_secs_f64())
}
