"""Sparse dot products, and what else is done to many columns at once, in vectors.

LLVM does not keep a column of sums in registers by itself, which is what makes a sparse product
fast. So its instructions are written here: a vector has a number for each of `width` columns, and
LLVM makes of it what the processor has, AVX-512 or not.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["largest", "products", "sparse_dot"]


def _n_sums(n_columns: int) -> int:
    """Give how many sums are to be formed that do not wait for each other."""
    return 4 if n_columns == 1 else 2


def _sparse_dot(
    typingctx: Any,
    width: Any,
    weights: Any,
    indices: Any,
    first: Any,
    last: Any,
    table: Any,
    place: Any,
    bias: Any,
    line: Any,
    relu: Any,
) -> Any:
    """Write ``relu(bias + sum(weights[k] * table[place + indices[k]]))`` into a line of a table.

    Each line of the table has `width` columns, one after another.
    """
    if not isinstance(width, types.IntegerLiteral):
        return None
    n_columns = width.literal_value
    signature = types.void(width, weights, indices, first, last, table, place, bias, line, relu)
    number = ir.DoubleType() if weights.dtype == types.float64 else ir.FloatType()
    vector, whole = ir.VectorType(number, n_columns), ir.IntType(64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def data(position: int) -> Any:
            kind = signature.args[position]
            return context.make_array(kind)(context, builder, arguments[position]).data

        def constant(value: int) -> Any:
            return ir.Constant(whole, value)

        def repeated(scalar: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            index = ir.VectorType(ir.IntType(32), n_columns)
            one = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, undefined, ir.Constant(index, [0] * n_columns))

        def at_line(which: Any) -> Any:
            begin = builder.gep(cells, [builder.mul(which, constant(n_columns))], inbounds=True)
            return builder.bitcast(begin, vector.as_pointer())

        def add(k: Any, total: Any) -> None:
            index = builder.zext(builder.load(builder.gep(lines, [k], inbounds=True)), whole)
            weight = repeated(builder.load(builder.gep(factors, [k], inbounds=True)))
            values = builder.load(at_line(builder.add(place_, index)), align=number_bytes)
            # "contract": a product and a sum may be one instruction.
            product = builder.fmul(weight, values, flags=("contract",))
            builder.store(builder.fadd(product, builder.load(total), flags=("contract",)), total)

        factors, lines, cells = data(1), data(2), data(5)
        first_, last_, place_, bias_, line_, relu_ = (arguments[i] for i in (3, 4, 6, 7, 8, 9))
        number_bytes = 8 if number == ir.DoubleType() else 4
        zeros = ir.Constant(vector, [0.0] * n_columns)
        n_sums = _n_sums(n_columns)
        sums = [cgutils.alloca_once(builder, vector) for _ in range(n_sums)]
        builder.store(repeated(bias_), sums[0])
        for total in sums[1:]:
            builder.store(zeros, total)
        rest = builder.urem(builder.sub(last_, first_), constant(n_sums))
        middle = builder.sub(last_, rest)
        with cgutils.for_range_slice(builder, first_, middle, constant(n_sums)) as (k, _):
            for i, total in enumerate(sums):
                add(builder.add(k, constant(i)), total)
        with cgutils.for_range_slice(builder, middle, last_, constant(1)) as (k, _):
            add(k, sums[0])
        result = builder.load(sums[0])
        for total in sums[1:]:
            result = builder.fadd(result, builder.load(total))
        # A NaN is not below zero, and stays.
        negative = builder.fcmp_ordered("<", result, zeros)
        result = builder.select(relu_, builder.select(negative, zeros, result), result)
        builder.store(result, at_line(line_), align=number_bytes)
        return context.get_dummy_value()

    return signature, generate


# To a type checker, a function of one argument less: numba passes the first by itself.
sparse_dot: Any = intrinsic(prefer_literal=True)(_sparse_dot)


def _combination(combine: Any) -> Any:
    """Make a function that combines lines, two at a time."""

    def combination(
        typingctx: Any, width: Any, table: Any, first: Any, last: Any, cells: Any, line: Any
    ) -> Any:
        """Write what the lines ``table[first:last]`` come to into a line."""
        if not isinstance(width, types.IntegerLiteral):
            return None
        n_columns = width.literal_value
        signature = types.void(width, table, first, last, cells, line)
        number = ir.DoubleType() if cells.dtype == types.float64 else ir.FloatType()
        vector, whole = ir.VectorType(number, n_columns), ir.IntType(64)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def data(position: int) -> Any:
                kind = signature.args[position]
                return context.make_array(kind)(context, builder, arguments[position]).data

            def at_line(which: Any) -> Any:
                offset = builder.mul(which, ir.Constant(whole, n_columns))
                begin = builder.gep(cells, [offset], inbounds=True)
                return builder.bitcast(begin, vector.as_pointer())

            def values(k: Any) -> Any:
                which = builder.load(builder.gep(lines, [k], inbounds=True))
                return builder.load(at_line(which), align=number_bytes)

            lines, cells = data(1), data(4)
            first_, last_, line_ = arguments[2], arguments[3], arguments[5]
            number_bytes = 8 if number == ir.DoubleType() else 4
            one = ir.Constant(whole, 1)
            result = cgutils.alloca_once(builder, vector)
            builder.store(values(first_), result)
            with cgutils.for_range_slice(builder, builder.add(first_, one), last_, one) as (k, _):
                builder.store(combine(builder, builder.load(result), values(k)), result)
            builder.store(builder.load(result), at_line(line_), align=number_bytes)
            return context.get_dummy_value()

        return signature, generate

    return intrinsic(prefer_literal=True)(combination)


def _larger(builder: Any, one: Any, other: Any) -> Any:
    # A NaN is not below anything, and is taken for the largest.
    below = builder.fcmp_ordered("<=", other, one)
    is_nan = builder.fcmp_unordered("uno", one, one)
    return builder.select(builder.or_(below, is_nan), one, other)


largest = _combination(_larger)
products = _combination(lambda builder, one, other: builder.fmul(one, other))
