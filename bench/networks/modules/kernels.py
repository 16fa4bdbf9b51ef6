# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: N803
"""The kernels of :mod:`bench.networks.modules.fused`, in Triton.

Images in channels_last memory are a matrix of ``rows`` (pixels of all images) by ``channels``. Program p takes
``chunk`` rows from p · chunk on, ``R`` at a time, and ``C`` channels; ``P``, a power of two, is at least the number of
programs.
"""

import triton
import triton.language as tl


@triton.jit
def tile_at(start, last, c, channels, R: tl.constexpr):
    """Offsets of the elements of some rows and channels, and which of them there are."""
    r = start + tl.arange(0, R)
    inside = (r < last)[:, None] & (c < channels)[None, :]
    return r.to(tl.int64)[:, None] * channels + c[None, :], inside


@triton.jit
def both_sums(partial, c, channels, programs, P: tl.constexpr):
    """What each program left of two sums, (P, C) each; zeros beyond the last one."""
    p = tl.arange(0, P)
    inside = (p < programs)[:, None] & (c < channels)[None, :]
    at = partial + p[:, None] * channels + c[None, :]
    return tl.load(at, inside, 0.0), tl.load(at + programs * channels, inside, 0.0)


@triton.jit
def moments(x, partial, rows, channels, chunk, R: tl.constexpr, C: tl.constexpr):
    """Mean and sum of squared deviations of a range of rows, tile by tile (Chan et al., 1979)."""
    p, c = tl.program_id(0), tl.program_id(1) * C + tl.arange(0, C)
    first = p * chunk
    last = tl.minimum(first + chunk, rows)
    mean, squares = tl.zeros((C,), tl.float32), tl.zeros((C,), tl.float32)
    for start in range(first, last, R):
        at, inside = tile_at(start, last, c, channels, R)
        tile = tl.load(x + at, inside, 0.0).to(tl.float32)
        before, count = (start - first).to(tl.float32), tl.minimum(R, last - start).to(tl.float32)
        own = tl.sum(tile, 0) / count
        deviations = tl.where(inside, tile - own[None, :], 0.0)
        difference, share = own - mean, count / (before + count)
        squares += tl.sum(deviations * deviations, 0) + difference * difference * before * share
        mean += difference * share
    at = partial + p * channels + c
    tl.store(at, mean, c < channels)
    tl.store(at + tl.num_programs(0) * channels, squares, c < channels)


@triton.jit
def normalise(
    x, residual, y, scale, shift, partial, saved, running_mean, running_var, momentum, eps, rows, channels, chunk,
    R: tl.constexpr, C: tl.constexpr, P: tl.constexpr, TRAINING: tl.constexpr, TRACKED: tl.constexpr,
    RESIDUAL: tl.constexpr, RELU: tl.constexpr,
):  # fmt: skip
    """ReLU(scale · (x - mean) / deviation + shift + residual); the first program also keeps the statistics."""
    row, c = tl.program_id(0), tl.program_id(1) * C + tl.arange(0, C)
    known = c < channels
    if TRAINING:
        means, squares = both_sums(partial, c, channels, tl.num_programs(0), P)
        counts = tl.maximum(tl.minimum(rows - tl.arange(0, P) * chunk, chunk), 0).to(tl.float32)[:, None]
        mean = tl.sum(means * counts, 0) / rows
        deviations = means - mean[None, :]
        sum_of_squares = tl.sum(squares, 0) + tl.sum(counts * deviations * deviations, 0)
        rstd = 1.0 / tl.sqrt(sum_of_squares / rows + eps)
        if row == 0:
            tl.store(saved + c, mean, known)
            tl.store(saved + channels + c, rstd, known)
            if TRACKED:
                old_mean, old_var = tl.load(running_mean + c, known, 0.0), tl.load(running_var + c, known, 0.0)
                unbiased = sum_of_squares / (rows - 1)
                tl.store(running_mean + c, old_mean + momentum * (mean - old_mean), known)
                tl.store(running_var + c, old_var + momentum * (unbiased - old_var), known)
    else:
        mean = tl.load(running_mean + c, known, 0.0)
        rstd = 1.0 / tl.sqrt(tl.load(running_var + c, known, 1.0) + eps)
    factor, offset = tl.load(scale + c, known, 0.0) * rstd, tl.load(shift + c, known, 0.0)
    last = tl.minimum((row + 1) * chunk, rows)
    for start in range(row * chunk, last, R):
        at, inside = tile_at(start, last, c, channels, R)
        tile = (tl.load(x + at, inside, 0.0).to(tl.float32) - mean[None, :]) * factor[None, :] + offset[None, :]
        if RESIDUAL:
            tile += tl.load(residual + at, inside, 0.0).to(tl.float32)
        if RELU:
            tile = tl.where(tile <= 0.0, 0.0, tile)  # what is no number stays so
        tl.store(y + at, tile.to(y.dtype.element_ty), inside)


@triton.jit
def before_relu(dy, y, at, inside, RELU: tl.constexpr):
    """The gradient of a tile before its ReLU."""
    tile = tl.load(dy + at, inside, 0.0).to(tl.float32)
    if RELU:
        tile = tl.where(tl.load(y + at, inside, 0.0).to(tl.float32) <= 0.0, 0.0, tile)
    return tile


@triton.jit
def gradient_sums(
    dy, y, x, saved, partial, rows, channels, chunk, R: tl.constexpr, C: tl.constexpr, RELU: tl.constexpr
):
    """Sums of the gradient, and of its product with the normalised input, over a range of rows."""
    p, c = tl.program_id(0), tl.program_id(1) * C + tl.arange(0, C)
    known = c < channels
    mean, rstd = tl.load(saved + c, known, 0.0), tl.load(saved + channels + c, known, 0.0)
    plain, product = tl.zeros((C,), tl.float32), tl.zeros((C,), tl.float32)
    last = tl.minimum((p + 1) * chunk, rows)
    for start in range(p * chunk, last, R):
        at, inside = tile_at(start, last, c, channels, R)
        dz = before_relu(dy, y, at, inside, RELU)
        normal = (tl.load(x + at, inside, 0.0).to(tl.float32) - mean[None, :]) * rstd[None, :]
        plain += tl.sum(dz, 0)
        product += tl.sum(dz * normal, 0)
    at = partial + p * channels + c
    tl.store(at, plain, known)
    tl.store(at + tl.num_programs(0) * channels, product, known)


@triton.jit
def gradients(
    dy, y, x, scale, saved, partial, dx, dresidual, dscale, dshift, rows, channels, chunk,
    R: tl.constexpr, C: tl.constexpr, P: tl.constexpr, RESIDUAL: tl.constexpr, RELU: tl.constexpr,
):  # fmt: skip
    """The gradients of input and residual; the first program also keeps those of scale and shift."""
    row, c = tl.program_id(0), tl.program_id(1) * C + tl.arange(0, C)
    known = c < channels
    plains, products = both_sums(partial, c, channels, tl.num_programs(0), P)
    plain, product = tl.sum(plains, 0), tl.sum(products, 0)
    if row == 0:
        tl.store(dshift + c, plain, known)
        tl.store(dscale + c, product, known)
    mean, rstd = tl.load(saved + c, known, 0.0), tl.load(saved + channels + c, known, 0.0)
    factor = tl.load(scale + c, known, 0.0) * rstd
    last = tl.minimum((row + 1) * chunk, rows)
    for start in range(row * chunk, last, R):
        at, inside = tile_at(start, last, c, channels, R)
        dz = before_relu(dy, y, at, inside, RELU)
        if RESIDUAL:
            tl.store(dresidual + at, dz.to(dresidual.dtype.element_ty), inside)
        normal = (tl.load(x + at, inside, 0.0).to(tl.float32) - mean[None, :]) * rstd[None, :]
        tile = factor[None, :] * (dz - (plain[None, :] + normal * product[None, :]) / rows)
        tl.store(dx + at, tile.to(dx.dtype.element_ty), inside)
