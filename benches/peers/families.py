"""The table of scripts/peers.sh --families and --ic: every program on every family of matrices, one solve a process.

usage: families.py families|ic DIR SIZE ROUNDS [FAMILY,...]
DIR holds the programs (families, petsc_families, amgcl_families, and a Python with PyAMG in venv); systems are written to
DIR/families-SIZE. In the first round every setting runs; later ones leave out settings that took over 1.3 times the best of
their program. FAMILIES_THREADS (default 1,2) says on how many threads, or ranks for PETSc and hypre."""
import os
import statistics
import subprocess
import sys

kind, here, size, rounds = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3], int(sys.argv[4])
data = f"{here}/families-{size}"
THREADS = [int(count) for count in os.environ.get("FAMILIES_THREADS", "1,2").split(",")]
# Dimension of the vectors at each node.
BLOCKS = {"elasticity": 2, "elasticity-3": 3}
TOLERANCE = 1e-8

SOR = " -mg_levels_ksp_type richardson -mg_levels_ksp_max_it 1 -mg_levels_pc_type sor"
GAMG = "-pc_type gamg -pc_gamg_esteig_ksp_max_it 10"
GAMGS = {"": "", " threshold .02": " -pc_gamg_threshold .02", " SOR": SOR, " threshold .02 SOR": " -pc_gamg_threshold .02" + SOR}
HYPRE = "-pc_type hypre -pc_hypre_type boomeramg"
HMIS = " -pc_hypre_boomeramg_coarsen_type HMIS -pc_hypre_boomeramg_interp_type ext+i -pc_hypre_boomeramg_P_max 4"
THETA, AGGRESSIVE = " -pc_hypre_boomeramg_strong_threshold ", " -pc_hypre_boomeramg_agg_nl 1"
HYPRES = {" HMIS .25": HMIS + THETA + ".25", " HMIS .5": HMIS + THETA + ".5", " HMIS .25 aggressive": HMIS + THETA + ".25" + AGGRESSIVE,
          " HMIS .5 aggressive": HMIS + THETA + ".5" + AGGRESSIVE}


def settings(family, solver):
    """Program, setting, command of one solve on t threads."""
    stem, block = f"{data}/{family}", BLOCKS.get(family, 1)
    plain = lambda *command: lambda t: list(command)
    petsc = lambda options, near="plain": lambda t: ["mpirun", "-n", str(t), f"{here}/petsc_families", stem, solver, str(block), near, options]
    ours = lambda setting: plain(f"{here}/families", "solve", stem + ".bin", setting)
    if kind == "ic":
        if solver == "cg":
            yield "ic", "", ours("ic")
            # Of one rank: PETSc factorises no matrix that is spread.
            yield "PETSc ICC(0)", "", lambda t: petsc("-pc_type icc -pc_factor_levels 0")(1)
        return
    yield "amg", "", ours("amg")
    yield "amg, linked", "", ours("amg:native")
    amgcl = ["sa-spai0", "sa-ilu0", "sa-gs", "rs-ilu0", "rs-gs"]
    if block > 1:
        amgcl += ["sa-spai0-block", "sa-ilu0-block", "sa-gs-block", "sa-gs-rigid"]
    for name in amgcl:
        yield "AMGCL", " " + name, plain(f"{here}/amgcl_families", stem, solver, str(block), name)
    symmetrize = "" if solver == "cg" else " -pc_gamg_symmetrize_graph true"
    for name, options in GAMGS.items():
        # Pointwise SOR of blocks of elasticity breaks down.
        if block == 1 or "SOR" not in name:
            yield "GAMG", name, petsc(GAMG + options + symmetrize, "near")
    for name, options in HYPRES.items():
        yield "hypre", name, petsc(HYPRE + options)
    if os.path.exists(f"{here}/venv/bin/python"):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pyamg_families.py")
        for name in ["sa", "rs"]:
            yield "PyAMG", " " + name, plain(f"{here}/venv/bin/python", script, stem, solver, str(block), name)


def run(command, threads):
    """One solve; where the program does not run, or takes over three minutes, what it said last."""
    count = str(threads)
    environment = dict(os.environ, RAYON_NUM_THREADS=count, OMP_NUM_THREADS="1" if command[0] == "mpirun" else count,
                       OPENBLAS_NUM_THREADS="1")
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        return {"failed": "over three minutes"}
    lines = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 7]
    if done.returncode or not lines:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip().strip("-")]
        return {"failed": said[0] if said else f"status {done.returncode}"}
    keys = ["threads", "its", "setup", "solve", "setup_cpu", "solve_cpu", "residual", "mb"]
    return dict(zip(keys, map(float, lines[-1])))


def converged(runs):
    return bool(runs) and all("failed" not in r and r["its"] >= 0 and r["residual"] <= 2 * TOLERANCE for r in runs)


def median(runs, *keys):
    return statistics.median(sum(r[key] for key in keys) for r in runs)


def total(runs):
    return median(runs, "setup", "solve")


def best(results, family, threads, program):
    """Setting and runs of the least total of a program."""
    mine = [(s, runs) for (f, t, p, s), runs in results.items() if (f, t, p) == (family, threads, program) and converged(runs)]
    return min(mine, key=lambda entry: total(entry[1]), default=None)


def measure(families):
    results = {}
    for round in range(rounds):
        for family, solver in families:
            for threads in THREADS:
                for program, setting, command in settings(family, solver):
                    key = (family, threads, program, setting)
                    if round:
                        fastest = best(results, family, threads, program)
                        if not converged(results[key]) or total(results[key]) > 1.3 * total(fastest[1]):
                            continue
                    results.setdefault(key, []).append(run(command(threads), threads))
                    print(family, threads, program + setting, results[key][-1], file=sys.stderr, flush=True)
                for program in {key[2] for key in results}:
                    mine = [runs[0] for key, runs in results.items() if key[:3] == (family, threads, program)]
                    if all("failed" in run for run in mine):
                        sys.exit(f"{program} does not run on {family}, {threads} threads: {mine[0]['failed']}")
    return results


def cell(entry):
    if not entry:
        return "–"
    setting, runs = entry
    setup, solve, cpu = (1e3 * median(runs, *keys) for keys in (["setup"], ["solve"], ["setup_cpu", "solve_cpu"]))
    return f"{setting.strip()} {median(runs, 'its'):.0f}: {setup:.0f}+{solve:.0f} ({cpu:.0f}), {median(runs, 'mb'):.0f} MB".strip()


def ratio(a, b, *keys):
    return f"{median(a[1], *keys) / median(b[1], *keys):.2f}" if a and b else "–"


def tables(families, results):
    programs = list(dict.fromkeys(key[2] for key in results))
    names = [name for name, _ in families]
    for threads in THREADS:
        print(f"\n{threads} thread{'s' * (threads > 1)}; best setting, iterations: setup + solve by the clock (processor), ms, MB at "
              f"the peak; medians of {rounds}\n")
        if kind == "ic":
            print("| family | " + " | ".join(programs) + " | setup | solve |\n|" + "---|" * (len(programs) + 3))
        else:
            print("| family | " + " | ".join(programs) + " | to the fastest opponent (processor) | loaded to linked (processor) | memory to AMGCL |\n|" +
                  "---|" * (len(programs) + 4))
        under = []
        for name in names:
            found = {program: best(results, name, threads, program) for program in programs}
            cells = " | ".join(cell(found[program]) for program in programs)
            ours = found[programs[0]]
            if kind == "ic":
                peer = found.get("PETSc ICC(0)")
                if ours:
                    print(f"| {name} | {cells} | {ratio(ours, peer, 'setup_cpu')} | {ratio(ours, peer, 'solve_cpu')} |")
                continue
            others = [found[p] for p in programs if not p.startswith("amg") and found[p]]
            fastest = min(others, key=lambda entry: total(entry[1]), default=None)
            to_fastest = ratio(ours, fastest, "setup", "solve")
            processor = ratio(ours, fastest, "setup_cpu", "solve_cpu")
            under.append(to_fastest)
            print(f"| {name} | {cells} | **{to_fastest}** ({processor}) | {ratio(ours, found.get('amg, linked'), 'setup_cpu', 'solve_cpu')} | "
                  f"{ratio(ours, found.get('AMGCL'), 'mb')} |")
        if kind == "families":
            numbers = [float(value) for value in under if value != "–"]
            print(f"\nTo the fastest opponent: at most 0.5 on {sum(v <= .5 for v in numbers)}, at most 0.6 on "
                  f"{sum(v <= .6 for v in numbers)}, worst {max(numbers, default=float('nan')):.2f}, of {len(names)} families.")
    failed = [" ".join([f, str(t), p + s]) + "".join({f" ({run['failed']})" for run in runs if "failed" in run})
              for (f, t, p, s), runs in results.items() if not converged(runs)]
    print("\nNot solved to 1e-8: " + ("; ".join(failed) or "none") + ".")


def main():
    listed = subprocess.run([f"{here}/families", "list"], capture_output=True, text=True, check=True).stdout
    families = [tuple(line.split("\t")) for line in listed.splitlines()]
    if len(sys.argv) > 5:
        wanted = sys.argv[5].split(",")
        unknown = set(wanted) - {name for name, _ in families}
        if unknown:
            sys.exit(f"no family is called {', '.join(sorted(unknown))}")
        families = [family for family in families if family[0] in wanted]
    if kind == "ic":
        families = [family for family in families if family[1] == "cg"]
    os.makedirs(data, exist_ok=True)
    for name, _ in families:
        if not os.path.exists(f"{data}/{name}.bin"):
            subprocess.run([f"{here}/families", "write", data, size, name], check=True)
    tables(families, measure(families))


main()
