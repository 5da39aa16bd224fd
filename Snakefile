"""From corpora to a verdict on each claim. `snakemake --cores` runs the default study; see README.md."""

from snakemake.utils import min_version

min_version("9.0")


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
include: "workflow/rules/analysis.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/calibration.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/summary.md",
        f"{RESULTS}/findings.md",
        rules.figures.input,
        rules.findings.input,
        rules.manifest.output,
        rules.perplexity.output,
        rules.latency.output,
        rules.cards.output,
