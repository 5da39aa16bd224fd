"""From corpora to a verdict on each claim. `snakemake --cores` runs the default study; see README.md."""

from snakemake.settings.types import SharedFSUsage
from snakemake.utils import min_version

min_version("9.0")

# A job on another machine reads this file anew, while somebody may be editing the config. It gets what the run began
# with: from the file that onstart writes (workflow/rules/common.smk) or, without a shared file system, from the archive
# that Snakemake packs at the start.
SHARED_SOURCES = SharedFSUsage.SOURCES in workflow.storage_settings.shared_fs_usage
if workflow.is_main_process or not SHARED_SOURCES:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/corpus.smk"
include: "workflow/rules/tokens.smk"
include: "workflow/rules/lm.smk"
include: "workflow/rules/entropy.smk"
include: "workflow/rules/compressor.smk"
include: "workflow/rules/reconstruction.smk"
include: "workflow/rules/latency.smk"
include: "workflow/rules/mitigation.smk"
include: "workflow/rules/remedies.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/budget.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/calibration.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/summary.md",
        f"{RESULTS}/findings.md",
        f"{RESULTS}/guidelines.md",
        rules.explorer.output,
        f"{RESULTS}/config.json",
        rules.figures.input,
        rules.findings.input,
        rules.manifest.output,
        rules.perplexity.output,
        rules.latency.output,
        rules.cards.output,


include: "workflow/rules/sharing.smk"
