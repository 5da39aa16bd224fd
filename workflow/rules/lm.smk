rule warmup:
    """Teach a new model to restate random ids: the common start of all models of a shape."""
    input:
        code=code_of("lm", "warmup"),
        lock=LOCK,
        tokenizer=rules.tokenizer.output.tokenizer,
    output:
        weights=f"{RESULTS}/lm/warmup-{{shape}}/model.safetensors",
        config=f"{RESULTS}/lm/warmup-{{shape}}/config.json",
        history=f"{RESULTS}/lm/warmup-{{shape}}/history.parquet",
        record=f"{RESULTS}/lm/warmup-{{shape}}/record.json",
    log:
        f"{RESULTS}/logs/lm/warmup-{{shape}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/lm/warmup-{{shape}}.jsonl"
    conda:
        ENVIRONMENT
    # All else waits for it. Rounding depends on the number of threads: on fewer cores the weights differ a little.
    threads: max(4, PLAN.study.lm.warmup.schedule.processes)
    resources:
        **WITH_MODEL,
    params:
        command=started(PLAN.study.lm.warmup.schedule),
        spec=lambda wildcards: PLAN.warmup(wildcards.shape).line(),
        tokenizer=folder_of("tokenizer"),
        checkpoints=f"{RESULTS}/checkpoints/lm/warmup-{{shape}}",
        folder=folder_of("weights"),
    shell:
        "{params.command:q} lm warmup --spec {params.spec:q} --tokenizer {params.tokenizer:q}"
        " --checkpoints {params.checkpoints:q} --output {params.folder:q} --record {output.record:q} &> {log:q}"


rule pretrain:
    """One language model from scratch, on its mixture."""
    input:
        code=code_of("lm", "train"),
        lock=LOCK,
        start=lambda wildcards: start_of_model(wildcards.model),
        rows=lambda wildcards: expand(
            rules.mixture.output.rows,
            mixture=FROM_SCRATCH[wildcards.model].config.pretrain,
        ),
        tokenizer=rules.tokenizer.output.tokenizer,
    output:
        weights=f"{RESULTS}/lm/{{model}}/model.safetensors",
        config=f"{RESULTS}/lm/{{model}}/config.json",
        history=f"{RESULTS}/lm/{{model}}/history.parquet",
        record=f"{RESULTS}/lm/{{model}}/record.json",
    log:
        f"{RESULTS}/logs/lm/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/lm/{{model}}.jsonl"
    wildcard_constraints:
        model="|".join(FROM_SCRATCH) or "(?!)",
    # What all else waits for.
    priority: 2
    conda:
        ENVIRONMENT
    threads: PLAN.study.lm.pretraining.schedule.processes
    resources:
        **WITH_MODEL,
    params:
        command=started(PLAN.study.lm.pretraining.schedule),
        spec=lambda wildcards: PLAN.pretrain(FROM_SCRATCH[wildcards.model]).line(),
        start=folder_of("start"),
        tokenizer=folder_of("tokenizer"),
        checkpoints=f"{RESULTS}/checkpoints/lm/{{model}}",
        folder=folder_of("weights"),
    shell:
        "{params.command:q} lm train --spec {params.spec:q} --start {params.start:q} --rows {input.rows:q}"
        " --tokenizer {params.tokenizer:q} --checkpoints {params.checkpoints:q} --output {params.folder:q} --record {output.record:q} &> {log:q}"


rule load:
    """One language model by path or hub id."""
    input:
        code=code_of("lm", "load"),
        lock=LOCK,
        tokenizer=lambda wildcards: tokenizer_of(wildcards.model),
    output:
        weights=f"{RESULTS}/lm/{{model}}/model.safetensors",
        config=f"{RESULTS}/lm/{{model}}/config.json",
        history=f"{RESULTS}/lm/{{model}}/history.parquet",
        record=f"{RESULTS}/lm/{{model}}/record.json",
    log:
        f"{RESULTS}/logs/lm/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/lm/{{model}}.jsonl"
    wildcard_constraints:
        model="|".join(LOADED) or "(?!)",
    conda:
        ENVIRONMENT
    resources:
        **WITH_MODEL,
    params:
        spec=spec_of(PLAN.load, "model"),
        tokenizer=folder_of("tokenizer"),
        folder=folder_of("weights"),
    shell:
        "contextpress lm load --spec {params.spec:q} --tokenizer {params.tokenizer:q}"
        " --output {params.folder:q} --record {output.record:q} &> {log:q}"
