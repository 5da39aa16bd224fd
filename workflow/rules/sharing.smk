# To hand on: what a study was asked, and all that it found, in one file.


rule study_config:
    """The config of the study, every key written out: what another checkout runs, and `contextpress compare` reads."""
    input:
        code=code_of("report", "config"),
    output:
        f"{RESULTS}/config.json",
    log:
        f"{RESULTS}/logs/report/config.log",
    benchmark:
        f"{RESULTS}/benchmarks/report/config.jsonl"
    conda:
        ENVIRONMENT
    params:
        spec=spec_of(PLAN.config),
    shell:
        "contextpress report config --spec {params.spec:q} --output {output:q} &> {log:q}"


# Not below RESULTS: a bundle holds that whole folder.
BUNDLES = "results/bundles"


rule bundle:
    """Named target: the finished study in one file, with what Snakemake noted of its jobs."""
    input:
        code=code_of("report", "bundle"),
        study=rules.all.input,
        config=rules.study_config.output[0],
    output:
        f"{BUNDLES}/{PLAN.study.study}.tar.gz",
    log:
        f"{BUNDLES}/{PLAN.study.study}.log",
    benchmark:
        f"{BUNDLES}/{PLAN.study.study}.jsonl"
    # Where Snakemake itself runs, for there are its notes.
    localrule: True
    conda:
        ENVIRONMENT
    params:
        study=folder_of("config"),
        records=".snakemake/metadata",
    shell:
        "contextpress report bundle --study {params.study:q} --records {params.records:q} --output {output:q} &> {log:q}"
