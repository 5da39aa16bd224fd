# What some arms have of their own: merged and infused encoders, a stage on mistakes. Planned where they are tried.
INFUSION = []

if REMEDIES.merged:

    rule merge:
        """An encoder merged with its decoder, without training."""
        input:
            code=code_of("lm", "merge"),
            lock=LOCK,
            models=lambda wildcards: [
                lm_weights(name) for name in REMEDIES.merged[wildcards.model].models
            ],
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
            model="|".join(REMEDIES.merged),
        conda:
            ENVIRONMENT
        resources:
            **WITH_MODEL,
        params:
            spec=lambda wildcards: REMEDIES.merged[wildcards.model].line(),
            models=lambda wildcards, input: [
                str(Path(path).parent) for path in input.models
            ],
            folder=folder_of("weights"),
        shell:
            "contextpress lm merge --spec {params.spec:q} --models {params.models:q}"
            " --output {params.folder:q} --record {output.record:q} &> {log:q}"


if REMEDIES.infused:

    rule infuse:
        """An encoder whose pretraining goes on, with a share of its decoder's mixture."""
        input:
            code=code_of("lm", "infuse"),
            lock=LOCK,
            start=lambda wildcards: lm_weights(
                REMEDIES.infused[wildcards.model].start.name
            ),
            rows=lambda wildcards: expand(
                rules.mixture.output.rows,
                mixture=REMEDIES.infused[wildcards.model].start.data,
            ),
            infused=lambda wildcards: expand(
                rules.mixture.output.rows,
                mixture=REMEDIES.infused[wildcards.model].other,
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
            model="|".join(REMEDIES.infused),
        priority: 2
        conda:
            ENVIRONMENT
        threads: PLAN.study.lm.pretraining.schedule.processes
        resources:
            **WITH_MODEL,
        params:
            command=started(PLAN.study.lm.pretraining.schedule),
            spec=lambda wildcards: REMEDIES.infused[wildcards.model].spec.line(),
            start=folder_of("start"),
            tokenizer=folder_of("tokenizer"),
            checkpoints=f"{RESULTS}/checkpoints/lm/{{model}}",
            folder=folder_of("weights"),
        shell:
            "{params.command:q} lm infuse --spec {params.spec:q} --start {params.start:q} --rows {input.rows:q}"
            " --infused {input.infused:q} --tokenizer {params.tokenizer:q} --checkpoints {params.checkpoints:q}"
            " --output {params.folder:q} --record {output.record:q} &> {log:q}"

    rule infusion_table:
        """What every dose of the decoder's corpus gains and loses, and where an encoder collapses."""
        input:
            code=code_of("analysis", "infusion"),
            passages=PASSAGE_FILES,
            reconstructions=[
                f"{RESULTS}/reconstructions/{cell.compressor.name}.parquet"
                for cell in REMEDIES.dosed
            ],
            scores=[
                f"{RESULTS}/entropy/passages/{cell.compressor.encoder}.parquet"
                for cell in REMEDIES.dosed
            ],
        output:
            finding=f"{RESULTS}/findings/infusion.json",
            table=f"{RESULTS}/tables/infusion.csv",
        log:
            f"{RESULTS}/logs/analysis/infusion.log",
        benchmark:
            f"{RESULTS}/benchmarks/analysis/infusion.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(REMEDIES.infusion),
        # Too long for an argument where there are hundreds of compressors.
        shell:
            "contextpress analysis infusion --spec <(printf %s {params.spec:q}) --passages {input.passages:q}"
            " --reconstructions {input.reconstructions:q} --scores {input.scores:q} --finding {output.finding:q}"
            " --table {output.table:q} &> {log:q}"

    INFUSION.append(rules.infusion_table.output.finding)
    MITIGATION_FIGURES.append("infusion")

    rule infusion:
        """Claim C3: what infusion of the decoder's corpus gains and loses, dose by dose."""
        input:
            code=code_of("figures", "infusion"),
            table=rules.infusion_table.output.table,
            finding=rules.infusion_table.output.finding,
        output:
            **drawn("infusion"),
        log:
            f"{RESULTS}/logs/figures/infusion.log",
        benchmark:
            f"{RESULTS}/benchmarks/figures/infusion.jsonl"
        conda:
            ENVIRONMENT
        params:
            spec=spec_of(PLAN.table_figure),
        shell:
            "contextpress figures infusion --spec {params.spec:q} --table {input.table:q}"
            " --finding {input.finding:q} --pdf {output.pdf:q} --svg {output.svg:q} --png {output.png:q}"
            " --caption {output.caption:q} &> {log:q}"


if ARMS.starts:

    rule mistakes:
        """What the decoder of a compressor writes in the place of training passages."""
        input:
            code=code_of("reconstruction", "mistakes"),
            lock=LOCK,
            compressor=start_of(rules.compressor.output.weights),
            description=start_of(rules.compressor.output.description),
            encoder=encoder_weights,
            decoder=decoder_weights,
            tokenizer=rules.tokenizer.output.tokenizer,
            arrays=lambda wildcards: expand(
                rules.encode.output, domain=ARMS.starts[wildcards.compressor].domains
            ),
        output:
            mistakes=f"{RESULTS}/mistakes/{{compressor}}.safetensors",
            record=f"{RESULTS}/mistakes/{{compressor}}.json",
        log:
            f"{RESULTS}/logs/mistakes/{{compressor}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/mistakes/{{compressor}}.jsonl"
        conda:
            ENVIRONMENT
        resources:
            **WITH_MODEL,
        params:
            spec=spec_of(REMEDIES.mistakes, "compressor"),
            compressor=folder_of("compressor"),
            encoder=folder_of("encoder"),
            decoder=folder_of("decoder"),
            tokenizer=folder_of("tokenizer"),
        shell:
            "contextpress reconstruction mistakes --spec {params.spec:q} --compressor {params.compressor:q}"
            " --encoder {params.encoder:q} --decoder {params.decoder:q} --tokenizer {params.tokenizer:q}"
            " --arrays {input.arrays:q} --output {output.mistakes:q} --record {output.record:q} &> {log:q}"

    rule debias:
        """A compressor that is also trained on its decoder's mistakes."""
        input:
            code=code_of("compressor", "debias"),
            lock=LOCK,
            start=start_of(rules.compressor.output.weights),
            start_description=start_of(rules.compressor.output.description),
            mistakes=rules.mistakes.output.mistakes,
            encoder=encoder_weights,
            decoder=decoder_weights,
            tokenizer=rules.tokenizer.output.tokenizer,
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
            compressor="|".join(ARMS.starts),
        priority: 1
        conda:
            ENVIRONMENT
        threads: PLAN.study.mitigation.debias.schedule.processes
        resources:
            **WITH_MODEL,
        params:
            command=started(PLAN.study.mitigation.debias.schedule),
            spec=spec_of(REMEDIES.debias, "compressor"),
            start=folder_of("start"),
            encoder=folder_of("encoder"),
            decoder=folder_of("decoder"),
            tokenizer=folder_of("tokenizer"),
            checkpoints=f"{RESULTS}/checkpoints/compressors/{{compressor}}",
            folder=folder_of("weights"),
        shell:
            "{params.command:q} compressor debias --spec {params.spec:q} --start {params.start:q}"
            " --mistakes {input.mistakes:q} --encoder {params.encoder:q} --decoder {params.decoder:q}"
            " --tokenizer {params.tokenizer:q} --checkpoints {params.checkpoints:q} --output {params.folder:q}"
            " --record {output.record:q} &> {log:q}"
