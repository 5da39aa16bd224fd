rule compressor:
    """One compressor: a pair of language models, a read-out and a ratio, trained to restate passages."""
    input:
        code=code_of("compressor", "train"),
        lock=LOCK,
        encoder=encoder_weights,
        decoder=decoder_weights,
        tokenizer=rules.tokenizer.output.tokenizer,
        own=own_tokenizer_files,
        arrays=lambda wildcards: expand(
            rules.encode.output, domain=ARMS.compressor(wildcards.compressor).domains
        ),
    output:
        weights=f"{RESULTS}/compressors/{{compressor}}/compressor.safetensors",
        description=f"{RESULTS}/compressors/{{compressor}}/compressor.json",
        history=f"{RESULTS}/compressors/{{compressor}}/history.parquet",
        record=f"{RESULTS}/compressors/{{compressor}}/record.json",
    log:
        f"{RESULTS}/logs/compressors/{{compressor}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/compressors/{{compressor}}.jsonl"
    wildcard_constraints:
        compressor="|".join(name for name in COMPRESSORS if name not in ARMS.starts),
    # Long jobs before short ones, or the last of them runs alone.
    priority: 1
    conda:
        ENVIRONMENT
    threads: PLAN.study.compressor.schedule.processes
    resources:
        **WITH_MODEL,
    params:
        command=started(PLAN.study.compressor.schedule),
        spec=spec_of(ARMS.compressor, "compressor"),
        encoder=folder_of("encoder"),
        decoder=folder_of("decoder"),
        tokenizer=folder_of("tokenizer"),
        own=own_tokenizer_options,
        checkpoints=f"{RESULTS}/checkpoints/compressors/{{compressor}}",
        folder=folder_of("weights"),
    shell:
        "{params.command:q} compressor train --spec {params.spec:q} --encoder {params.encoder:q}"
        " --decoder {params.decoder:q} --tokenizer {params.tokenizer:q} {params.own:q} --arrays {input.arrays:q}"
        " --checkpoints {params.checkpoints:q} --output {params.folder:q} --record {output.record:q} &> {log:q}"
