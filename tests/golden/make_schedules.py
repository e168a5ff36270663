"""Learning rates and momenta of torch.optim.lr_scheduler, chained step by step, for tests/train/schedule_test.cpp.

Written with torch 2.15.0:  python make_schedules.py > schedules.json
"""

import json
import warnings

import torch
from torch.optim import lr_scheduler

warnings.simplefilter("ignore")  # no optimizer step comes between

STEPS = 60
METRICS = [1.0, 0.9, 0.91, 0.905, 0.9, 0.899, 0.8, 0.85, 0.84, 0.83, 0.82, 0.81, 0.7999, 0.79, 0.9] * 4

CASES = [
    ("StepLR", dict(step_size=7)),
    ("StepLR", dict(step_size=1, gamma=0.97)),
    ("MultiStepLR", dict(milestones=[3, 5, 20], gamma=0.5)),
    ("MultiStepLR", dict(milestones=[20, 3, 20], gamma=0.5)),
    ("ConstantLR", dict()),
    ("ConstantLR", dict(factor=0.25, total_iters=31)),
    ("LinearLR", dict()),
    ("LinearLR", dict(start_factor=0.9, end_factor=0.1, total_iters=37)),
    ("ExponentialLR", dict(gamma=0.93)),
    ("PolynomialLR", dict()),
    ("PolynomialLR", dict(total_iters=43, power=2.5)),
    ("CosineAnnealingLR", dict(T_max=13, eta_min=0.01)),
    ("CosineAnnealingLR", dict(T_max=100)),
    ("CosineAnnealingWarmRestarts", dict(T_0=11)),
    ("CosineAnnealingWarmRestarts", dict(T_0=3, T_mult=2, eta_min=0.02)),
    ("OneCycleLR", dict(max_lr=0.3, total_steps=60)),
    ("OneCycleLR", dict(max_lr=0.3, total_steps=61, pct_start=0.1, anneal_strategy="linear", div_factor=10.0,
                        final_div_factor=100.0, base_momentum=0.7, max_momentum=0.9)),
    ("OneCycleLR", dict(max_lr=0.3, epochs=6, steps_per_epoch=11, three_phase=True, cycle_momentum=False)),
    ("CyclicLR", dict(base_lr=0.01, max_lr=0.1, step_size_up=7)),
    ("CyclicLR", dict(base_lr=0.01, max_lr=0.1, step_size_up=5, step_size_down=9, mode="triangular2")),
    ("CyclicLR", dict(base_lr=0.01, max_lr=0.1, step_size_up=5, mode="exp_range", gamma=0.97, cycle_momentum=False)),
    ("ReduceLROnPlateau", dict(patience=2)),
    ("ReduceLROnPlateau", dict(mode="max", factor=0.5, patience=1, threshold=0.01, threshold_mode="abs", cooldown=3,
                               min_lr=0.001)),
    ("SequentialLR", dict(schedulers=[("LinearLR", dict(start_factor=0.1, total_iters=10)),
                                      ("CosineAnnealingLR", dict(T_max=30)),
                                      ("StepLR", dict(step_size=4, gamma=0.5))], milestones=[10, 40])),
    ("SequentialLR", dict(schedulers=[("ConstantLR", dict(factor=0.1, total_iters=20)),
                                      ("ExponentialLR", dict(gamma=0.9))], milestones=[20])),
    ("SequentialLR", dict(schedulers=[("PolynomialLR", dict(total_iters=8)),
                                      ("CosineAnnealingWarmRestarts", dict(T_0=5, T_mult=2))], milestones=[6])),
]


def build(optimizer, name, arguments):
    arguments = dict(arguments)
    if "schedulers" in arguments:
        arguments["schedulers"] = [build(optimizer, *part) for part in arguments["schedulers"]]
    return getattr(lr_scheduler, name)(optimizer, **arguments)


def run(name, arguments):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.5)
    schedule = build(optimizer, name, arguments)
    lr, momentum = [], []
    for step in range(STEPS):
        lr.append(optimizer.param_groups[0]["lr"])
        momentum.append(optimizer.param_groups[0]["momentum"])
        if step + 1 < STEPS:
            schedule.step(*([METRICS[step]] if name == "ReduceLROnPlateau" else []))
    return lr, momentum


def options(name, arguments):
    arguments = dict(arguments)
    if "schedulers" in arguments:
        arguments["schedulers"] = [{"class_path": n, "init_args": a} for n, a in arguments["schedulers"]]
    return {"class_path": name, "init_args": arguments}


def main():
    cases = []
    for name, arguments in CASES:
        lr, momentum = run(name, arguments)
        cases.append({"options": options(name, arguments), "lr": lr, "momentum": momentum})
    lines = ",\n".join(json.dumps(case) for case in cases)
    print('{"lr": 0.1, "momentum": 0.5, "metrics": %s, "cases": [\n%s\n]}' % (json.dumps(METRICS), lines))


main()
