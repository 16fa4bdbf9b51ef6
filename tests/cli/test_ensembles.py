import json

from safetensors.numpy import load_file

from tests.cli.commands import finish, start


def test_an_ensemble_is_measured_from_the_logits_of_the_seeds(project):
    recipe = project / "recipes" / "tiny" / "table.yaml"
    text = recipe.read_text(encoding="utf-8").replace(
        "columns: [error, trcost, tecost]", "columns: [error, ensemble]\nnets: 2"
    )
    recipe.write_text(text, encoding="utf-8")
    code, out, err = finish(start(project, "run", "tiny", "--profile", "paper", "--row", "vanilla"))
    assert code == 0, err
    assert "tiny/vanilla ensembles of 2: error " in out
    records = [json.loads(path.read_text()) for path in (project / "results" / "runs").iterdir()]
    (found,) = [record for record in records if record["recipe"]["kind"] == "evaluate"]
    trained = {record["seed"]: record for record in records if record["recipe"]["kind"] == "train"}
    assert {edge: said["artifact"] for edge, said in found["taken"].items()} == {
        str(seed): record["artifact"] for seed, record in trained.items()
    }
    logits = [
        load_file(project / "results" / "artifacts" / f"{r['id']}.safetensors")["logits0"] for r in trained.values()
    ]
    assert [one.shape for one in logits] == [(100, 10)] * 2
    assert found["curve"] == [{"members": [1, 2], "test_error": found["results"][0]["last_error"]}]
    assert found["artifact"] is None
    code, out, err = finish(start(project, "report", "tiny"))
    assert code == 0, err
    assert f"- / {found['results'][0]['last_error']:.2f}" in out
    code, out, err = finish(start(project, "run", "tiny", "--profile", "paper", "--row", "vanilla"))
    assert (code, "0 of 3 runs" in out) == (0, True)
