"""Parameters and losses of torch.optim's optimizers over a few steps, for tests/train/optimizer_test.cpp.

The problem: minimise mean((tanh(x @ w + b) - y)^2) in double, with inputs that the test computes too.
Written with torch 2.15.0:  python make_optimizers.py > optimizers.json
"""

import json

import torch

STEPS = 8
CASES = [
    ("Adadelta", dict()),
    ("Adadelta", dict(lr=0.5, rho=0.8, eps=1e-4, weight_decay=0.1)),
    ("Adagrad", dict()),
    ("Adagrad", dict(lr=0.1, lr_decay=0.1, weight_decay=0.02, initial_accumulator_value=0.3, eps=1e-6)),
    ("Adam", dict()),
    ("Adam", dict(lr=0.05, betas=[0.8, 0.95], eps=1e-5, weight_decay=0.1, amsgrad=True)),
    ("AdamW", dict()),
    ("AdamW", dict(lr=0.05, betas=[0.8, 0.95], eps=1e-5, weight_decay=0.3, amsgrad=True)),
    ("Adamax", dict()),
    ("Adamax", dict(lr=0.05, betas=[0.8, 0.95], eps=1e-5, weight_decay=0.1)),
    ("ASGD", dict()),
    ("ASGD", dict(lr=0.1, lambd=0.02, alpha=0.5, t0=1, weight_decay=0.1)),
    ("LBFGS", dict(max_iter=3)),
    ("LBFGS", dict(lr=0.5, max_iter=4, history_size=2)),
    ("LBFGS", dict(max_iter=4, history_size=3, line_search_fn="strong_wolfe")),
    ("NAdam", dict()),
    ("NAdam", dict(lr=0.05, betas=[0.8, 0.95], eps=1e-5, weight_decay=0.1, momentum_decay=0.1)),
    ("NAdam", dict(weight_decay=0.3, decoupled_weight_decay=True)),
    ("RAdam", dict()),
    ("RAdam", dict(lr=0.05, betas=[0.8, 0.95], eps=1e-5, weight_decay=0.1)),
    ("RAdam", dict(weight_decay=0.3, decoupled_weight_decay=True)),
    ("RMSprop", dict()),
    ("RMSprop", dict(lr=0.02, alpha=0.9, eps=1e-5, weight_decay=0.1, momentum=0.7, centered=True)),
    ("Rprop", dict()),
    ("Rprop", dict(lr=0.4, etas=[0.3, 1.5], step_sizes=[1e-3, 0.5])),
    ("SGD", dict()),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True)),
]


def wave(rows, columns, frequency):
    return torch.sin(frequency * torch.arange(1, rows * columns + 1, dtype=torch.float64)).reshape(rows, columns)


def run(name, arguments):
    x, y = wave(7, 3, 0.7), wave(7, 2, 1.3)
    w = wave(3, 2, 0.9).requires_grad_()
    b = wave(1, 2, 0.4).requires_grad_()
    optimizer = getattr(torch.optim, name)([w, b], **arguments)
    losses = []

    def evaluate():
        optimizer.zero_grad()
        loss = (torch.tanh(x @ w + b) - y).square().mean()
        loss.backward()
        return loss

    for _ in range(STEPS):
        losses.append(optimizer.step(evaluate).item())
    return {"options": {"class_path": name, "init_args": arguments}, "losses": losses,
            "w": w.detach().flatten().tolist(), "b": b.detach().flatten().tolist()}


def main():
    lines = ",\n".join(json.dumps(run(name, arguments)) for name, arguments in CASES)
    print("[\n%s\n]" % lines)


main()
