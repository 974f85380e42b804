"""The table of scripts/peers.sh: for every method and number of threads the best and the median of all rounds."""
import statistics
import sys

groups = {}
for line in open(sys.argv[1], encoding="utf-8"):
    label, threads, *numbers = line.rstrip("\n").split("\t")
    groups.setdefault((int(threads), label), []).append([float(number) for number in numbers])

print("| threads | method | iterations | setup + solve by the clock, best (median), ms | processor time, best (median), ms "
      "| a setup and ten solves, median | true residual | peak, MB |")
print("|---|---|---|---|---|---|---|---|")


def total(runs, first):
    sums = [(run[first] + run[first + 1], run[first], run[first + 1]) for run in runs]
    _, setup, solve = min(sums)
    median = statistics.median(sum for sum, _, _ in sums)
    return f"{1e3 * setup:.0f} + {1e3 * solve:.0f} = {1e3 * (setup + solve):.0f} ({1e3 * median:.0f})"


for (threads, label), runs in sorted(groups.items(), key=lambda group: (group[0][0], min(sum(r[1:3]) for r in group[1]))):
    iterations, residual, peak = runs[0][0], max(run[5] for run in runs), max(run[6] for run in runs)
    ten = 1e3 * statistics.median(run[1] + 10 * run[2] for run in runs)
    print(f"| {threads} | {label} | {iterations:.0f} | {total(runs, 1)} | {total(runs, 3)} | {ten:.0f} | {residual:.1e} | {peak:.0f} |")
